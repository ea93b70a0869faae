import { describe, expect, test } from 'vitest';
import { CommitNotices } from './commit-notices.ts';
import type { Replica } from './replica.ts';

/** Time that passes in steps of one interval. */
class Steps {
  private task: (() => void) | undefined;
  timers = 0;

  readonly scheduler = {
    soon: () => undefined,
    after: (_ms: number, task: () => void) => {
      this.timers++;
      this.task = task;
      return () => {
        this.task = undefined;
      };
    },
  };

  step(): void {
    const { task } = this;
    this.task = undefined;
    task?.();
  }

  get isRunning(): boolean {
    return this.task !== undefined;
  }
}

function replicaThat(told: string[], name: string): Replica {
  return { group: { tellCommit: () => told.push(name) > 0 } } as unknown as Replica;
}

describe('commit notices', () => {
  test('all groups that have been silent for an interval are told in one turn, and then no timer runs', () => {
    const told: string[] = [];
    const woken: Replica[] = [];
    const steps = new Steps();
    const notices = new CommitNotices(steps.scheduler, replica => woken.push(replica));
    const [a, b] = [replicaThat(told, 'a'), replicaThat(told, 'b')];
    notices.committed(a);
    notices.committed(b);
    steps.step();
    expect(told).toEqual([]);
    steps.step();
    expect(told).toEqual(['a', 'b']);
    expect(woken).toEqual([a, b]);
    expect(steps.isRunning).toBe(false);
  });

  test('a group that commits in every interval is left to its appends', () => {
    const told: string[] = [];
    const steps = new Steps();
    const notices = new CommitNotices(steps.scheduler, () => undefined);
    const busy = replicaThat(told, 'busy');
    for (let i = 0; i < 100; i++) {
      notices.committed(busy);
      steps.step();
    }
    expect(told).toEqual([]);
    steps.step();
    expect(told).toEqual(['busy']);
  });

  test('of many groups each is told in its turn, and those that commit again meanwhile are left out', () => {
    const told: string[] = [];
    const steps = new Steps();
    const notices = new CommitNotices(steps.scheduler, () => undefined);
    const many = Array.from({ length: 20 }, (_, i) => replicaThat(told, String(i)));
    for (const replica of many) notices.committed(replica);
    steps.step();
    steps.step();
    expect(told).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    notices.committed(many[8] as Replica);
    steps.step();
    expect(told.slice(8)).toEqual(['9', '10', '11', '12', '13', '14', '15', '16']);
    steps.step();
    expect(told.slice(16)).toEqual(['17', '18', '19', '8']);
    expect(steps.isRunning).toBe(false);
  });

  test('nothing is told once the node has stopped', () => {
    const told: string[] = [];
    const steps = new Steps();
    const notices = new CommitNotices(steps.scheduler, () => undefined);
    notices.committed(replicaThat(told, 'a'));
    notices.stop();
    steps.step();
    steps.step();
    expect(told).toEqual([]);
  });
});
