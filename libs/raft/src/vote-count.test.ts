import { describe, expect, test } from 'vitest';
import { member, optionsOf, voters } from './cluster.test-support.ts';
import { Election } from './election.ts';
import { Output } from './output.ts';
import { ReplicaState } from './replica-state.ts';
import type { Configuration, RaftOptions } from './types.ts';

function electionOf(configuration: Configuration, overrides: Partial<RaftOptions> = {}): Election {
  const options = optionsOf(1, configuration, overrides);
  const state = new ReplicaState(options);
  return new Election(state, new Output(state), options);
}

describe('a count of votes', () => {
  test('is won by a majority, the own vote included, and open before', () => {
    const election = electionOf(voters(1, 2, 3, 4, 5));
    expect(election.beginCount()).toBe(false);
    expect([election.count(2, true), election.count(3, false), election.count(4, true)]).toEqual(['open', 'open', 'won']);
  });

  test('is lost once no majority can come together', () => {
    const election = electionOf(voters(1, 2, 3, 4, 5));
    election.beginCount();
    expect([election.count(2, false), election.count(3, false), election.count(4, false)]).toEqual(['open', 'open', 'lost']);
  });

  test('takes the first answer of each: a repeated message does not turn a vote', () => {
    const election = electionOf(voters(1, 2, 3));
    election.beginCount();
    expect([election.count(2, false), election.count(2, true), election.count(3, true)]).toEqual(['open', 'open', 'won']);
  });

  test('needs both majorities of a joint configuration', () => {
    const election = electionOf({ voters: [1, 2, 3].map(member), outgoing: [1, 4, 5].map(member), learners: [] });
    election.beginCount();
    expect([election.count(2, true), election.count(3, true), election.count(4, true)]).toEqual(['open', 'open', 'won']);
  });

  test('begins anew each time', () => {
    const election = electionOf(voters(1, 2, 3));
    election.beginCount();
    election.count(2, false);
    election.beginCount();
    expect(election.count(2, true)).toBe('won');
  });

  test('is won at once by the only voter, and never by a learner', () => {
    expect(electionOf(voters(1)).beginCount()).toBe(true);
    const learner = electionOf({ ...voters(2), learners: [member(1)] });
    expect([learner.mayStand, learner.beginCount()]).toEqual([false, false]);
  });
});

describe('the election timer', () => {
  test('is drawn anew with every start, and only begins anew when a leader is heard', () => {
    const drawn = [3, 5];
    const election = electionOf(voters(1, 2, 3), { randomInt: () => drawn.shift() as number });
    const ticksUntilDue = (): number => {
      for (let ticks = 1; ; ticks++) if (election.tick()) return ticks;
    };
    expect(ticksUntilDue()).toBe(3);
    election.postpone();
    expect(ticksUntilDue()).toBe(3);
    election.restartTimer();
    expect(ticksUntilDue()).toBe(5);
    expect(drawn).toEqual([]);
  });
});
