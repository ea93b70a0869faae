import type { Measurement } from './compare.ts';
import { figure, table } from './statistics.ts';

/** A goal of the comparison: a ratio of one number of ours to the same number of etcd's. */
interface Goal {
  readonly text: string;
  readonly operation: 'put' | 'get';
  readonly workers: number;
  readonly ratio: (ours: Measurement, theirs: Measurement) => number;
  readonly limit: number;
  readonly atLeast: boolean;
}

const throughput = (ours: Measurement, theirs: Measurement): number => ours.perSecond / theirs.perSecond;
const p50 = (ours: Measurement, theirs: Measurement): number => ours.p50Ms / theirs.p50Ms;
const p99 = (ours: Measurement, theirs: Measurement): number => ours.p99Ms / theirs.p99Ms;

const GOALS: readonly Goal[] = [
  { text: 'put, 64 workers: throughput', operation: 'put', workers: 64, ratio: throughput, limit: 6, atLeast: true },
  { text: 'put, 256 workers: throughput', operation: 'put', workers: 256, ratio: throughput, limit: 8, atLeast: true },
  { text: 'put, 1 worker: p50', operation: 'put', workers: 1, ratio: p50, limit: 0.65, atLeast: false },
  { text: 'get, 64 workers: throughput', operation: 'get', workers: 64, ratio: throughput, limit: 12, atLeast: true },
  { text: 'get, 256 workers: throughput', operation: 'get', workers: 256, ratio: throughput, limit: 12, atLeast: true },
  { text: 'get, 1 worker: p50', operation: 'get', workers: 1, ratio: p50, limit: 0.3, atLeast: false },
  ...(['put', 'get'] as const).flatMap(operation =>
    [1, 16, 64, 256].map(workers => ({
      text: `${operation}, ${workers} worker${workers === 1 ? '' : 's'}: p99`,
      operation,
      workers,
      ratio: p99,
      limit: 1,
      atLeast: false,
    })),
  ),
];

const find = (all: readonly Measurement[], contestant: string, operation: string, workers: number): Measurement | undefined =>
  all.find(m => m.contestant === contestant && m.operation === operation && m.workers === workers);

/** Every number that was measured. */
export function numbersTable(all: readonly Measurement[]): string {
  return table(
    ['load', 'ops/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'client µs/op', 'leader µs/op', 'follower µs/op', 'errors'],
    all.map(m => [
      `${m.operation} ${m.workers}, ${m.contestant}`,
      figure(m.perSecond),
      ...[m.p50Ms, m.p99Ms, m.p999Ms, m.clientCpuUs, m.leaderCpuUs, m.followerCpuUs].map(figure),
      String(m.errors),
    ]),
  );
}

/** Ours against each way to use etcd: throughput (more is better), p50 and p99 (less is better). */
export function ratioTable(all: readonly Measurement[], ours: readonly string[], theirs: readonly string[]): string {
  const loads = all.filter(m => m.contestant === all[0]?.contestant);
  const rows = loads.flatMap(load =>
    ours.flatMap(name => {
      const mine = find(all, name, load.operation, load.workers);
      if (!mine) return [];
      const cells = theirs.map(other => {
        const opponent = find(all, other, load.operation, load.workers);
        return opponent ? `${[throughput, p50, p99].map(of => figure(of(mine, opponent))).join(' / ')}` : '–';
      });
      return [[`${load.operation} ${load.workers}, ${name}`, ...cells]];
    }),
  );
  return table(['throughput / p50 / p99 as multiples of', ...theirs], rows);
}

/** The goals and whether this run reached them. */
export function goalsTable(all: readonly Measurement[], ours: string, theirs: string): string {
  const rows = GOALS.flatMap(goal => {
    const mine = find(all, ours, goal.operation, goal.workers);
    const opponent = find(all, theirs, goal.operation, goal.workers);
    if (!mine || !opponent) return [];
    const value = goal.ratio(mine, opponent);
    const reached = goal.atLeast ? value >= goal.limit : value <= goal.limit;
    return [[goal.text, `${goal.atLeast ? '≥' : '≤'} ${goal.limit} ×`, `${figure(value)} ×`, reached ? 'yes' : 'no']];
  });
  const put64 = find(all, ours, 'put', 64);
  if (put64) {
    const cpu: [string, number, number][] = [
      ['leader', put64.leaderCpuUs, 15],
      ['follower', put64.followerCpuUs, 10],
      ['client', put64.clientCpuUs, 5],
    ];
    for (const [who, value, limit] of cpu) {
      rows.push([`put, 64 workers: CPU per put, ${who}`, `≤ ${limit} µs`, `${figure(value)} µs`, value <= limit ? 'yes' : 'no']);
    }
  }
  return table([`goal (${ours} to ${theirs})`, 'wanted', 'measured', 'reached'], rows);
}
