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
