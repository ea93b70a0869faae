import { describe, expect, test } from 'vitest';
import { member, optionsOf, voters } from './cluster.test-support.ts';
import { encodeConfiguration } from './codec.ts';
import { takeAppend, takeHeartbeat } from './following.ts';
import { makeMessage, NO_ENTRIES } from './message.ts';
import { Output } from './output.ts';
import { ReplicaState } from './replica-state.ts';
import { type Entry, EntryKind, type Message, MessageType, type Ready } from './types.ts';

const LEADER = 2;

/** Replica 1, whose log holds entries of these terms; all up to `commitIndex` are committed. */
function followerOf(terms: number[], commitIndex: number) {
  const options = optionsOf(1, voters(1, 2, 3), {
    hardState: { term: 9, vote: 0 },
    entries: terms.map((term, i) => entry(i + 1, term)),
    appliedIndex: commitIndex,
  });
  const state = new ReplicaState(options);
  const output = new Output(state);
  const taken = (act: typeof takeAppend, message: Message): Ready | undefined => {
    act(state, output, message);
    return output.take(undefined);
  };
  const logged = (): (number | undefined)[] => Array.from({ length: state.log.lastIndex }, (_, i) => state.log.termAt(i + 1));
  return { state, taken, logged };
}

function entry(index: number, term: number): Entry {
  return { index, term, kind: EntryKind.Command, data: new Uint8Array(0) };
}

function append(index: number, logTerm: number, terms: number[], commit = 0): Message {
  const entries = terms.map((term, i) => entry(index + 1 + i, term));
  return makeMessage(MessageType.Append, LEADER, 1, 9, index, logTerm, commit, entries, false, false, 0);
}

describe('appends', () => {
  test('F1: entries behind a shared one are taken, and acknowledged as a promise', () => {
    const { taken, logged } = followerOf([1, 1], 1);
    const ready = taken(takeAppend, append(2, 1, [9, 9]));
    expect(logged()).toEqual([1, 1, 9, 9]);
    expect(ready).toMatchObject({ entries: [{ index: 3 }, { index: 4 }], appends: [], promises: [{ to: LEADER, index: 4 }] });
  });

  test('F1: what contradicts the leader goes, with the configuration it brought', () => {
    const { state, taken, logged } = followerOf([1, 1], 1);
    const change = { voters: [member(1)], outgoing: [], learners: [] };
    const wrong = { index: 3, term: 2, kind: EntryKind.Configuration, data: encodeConfiguration(change) };
    taken(takeAppend, { ...append(2, 1, []), entries: [wrong] });
    expect(state.configuration.voters).toHaveLength(1);
    taken(takeAppend, append(2, 1, [9]));
    expect(logged()).toEqual([1, 1, 9]);
    expect(state.configuration.voters).toHaveLength(3);
  });

  test('an entry that is kept does not keep the frame it came in', () => {
    const { state, taken } = followerOf([1], 1);
    const frame = Uint8Array.from({ length: 10_000 }, (_, i) => i);
    const small = { ...entry(2, 9), data: frame.subarray(100, 110) };
    const most = { ...entry(3, 9), data: frame.subarray(0, 9000) };
    taken(takeAppend, { ...append(1, 1, []), entries: [small, most] });
    const [own, view] = state.log.slice(2, 3);
    expect([...(own?.data ?? [])]).toEqual([...frame.subarray(100, 110)]);
    expect(own?.data.buffer.byteLength).toBe(10);
    expect(view?.data).toBe(most.data);
  });

  test('F1: nothing is taken behind an entry that differs; the refusal says where the logs may agree', () => {
    const { taken, logged } = followerOf([1, 1, 2, 2], 1);
    const ready = taken(takeAppend, append(4, 1, [9]));
    expect(logged()).toEqual([1, 1, 2, 2]);
    expect(ready).toMatchObject({ appends: [{ reject: true, index: 2, logTerm: 1, context: 4 }], promises: [] });
  });

  test('an append that ends within what is committed is acknowledged up to there and changes nothing', () => {
    const { taken, logged } = followerOf([1, 1, 2], 3);
    expect(taken(takeAppend, append(0, 0, [1, 1]))?.promises).toMatchObject([{ index: 3 }]);
    expect(logged()).toEqual([1, 1, 2]);
  });

  test('a leader that contradicts a committed entry is a broken promise', () => {
    const { taken } = followerOf([1, 1, 2], 2);
    expect(() => taken(takeAppend, append(0, 0, [1, 2, 2]))).toThrow(/committed/);
  });

  test('F2: the commit index is taken as far as the message reaches, not as far as the own log does', () => {
    const { state, taken } = followerOf([1, 1, 1, 1], 1);
    expect(taken(takeAppend, append(2, 1, [1], 4))?.committed).toMatchObject([{ index: 2 }, { index: 3 }]);
    expect(state.commitIndex).toBe(3);
  });
});

describe('heartbeats', () => {
  function heartbeat(commit: number): Message {
    return makeMessage(MessageType.Heartbeat, LEADER, 1, 9, 0, 0, commit, NO_ENTRIES, false, false, 7);
  }

  test('F3: the answer names the round and waits for no disk', () => {
    const { taken } = followerOf([1, 1], 1);
    const ready = taken(takeHeartbeat, heartbeat(2));
    expect(ready).toMatchObject({ appends: [{ type: MessageType.HeartbeatResponse, context: 7, commit: 2 }], promises: [] });
  });

  test('F2: a commit index beyond the own log is not guessed at', () => {
    const { state, taken } = followerOf([1, 1], 1);
    taken(takeHeartbeat, heartbeat(3));
    expect(state.commitIndex).toBe(1);
  });
});
