import { join } from 'node:path';
import { cpuSeconds } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { leaderOfKey } from './etcd-bench.ts';
import { Child } from './load/child.ts';
import { saveResult } from './results.ts';
import { PREFIX, type Stores, withStores } from './side-by-side.ts';
import { figure, median, table } from './statistics.ts';
import type { WatchLoad, WatchResult } from './watch/watch-load.ts';
import type { WatchCommand } from './watch/watch-worker.ts';
import type { WatchKind, WatchSpec } from './watch/watchers.ts';

const GOAL = 0.5;

interface Contestant {
  readonly name: string;
  readonly spec: WatchSpec;
  /** Server processes, the one that serves the watches first. */
  readonly pids: readonly number[];
  /** Whom it is compared with. */
  readonly rival: string | undefined;
}

interface Round {
  readonly result: WatchResult;
  readonly serverCpuSeconds: readonly number[];
}

/** One writer and many watches of its key, against etcd: how late they are told, and what a delivery costs. */
export async function benchWatch(args: Arguments): Promise<void> {
  const watches = args.number('watches', 1000);
  const connections = args.number('connections', 100);
  const rounds = args.number('rounds', 3);
  const intervalMs = args.number('interval-ms', 100);
  const load = {
    writes: Math.ceil((args.number('seconds', 2) * 1000) / intervalMs),
    intervalMs,
    valueBytes: args.number('value-bytes', 256),
  };
  await withStores(args, { redis: false }, async stores => {
    const only = args.text('only', '').split(',').filter(Boolean);
    const all = await contestantsOf(stores, watches, connections, args.flag('calls'));
    const contestants = all.filter(({ name }) => only.length === 0 || only.includes(name));
    const measured = await measureAll(contestants, load, rounds, args.number('warm-up-seconds', 4));
    report(contestants, measured, watches);
    const numbers = contestants.map(({ name }) => ({ name, rounds: measured.get(name) }));
    console.log(`\nnumbers kept in ${saveResult('watch', { watches, connections, load, rounds, numbers })}`);
  });
}

/** `calls`: also with a call for each watch, which no client of either store makes. */
async function contestantsOf(
  stores: Stores,
  watches: number,
  connections: number,
  calls: boolean,
): Promise<readonly Contestant[]> {
  const { cluster, etcd } = stores;
  const { leader } = await leaderOfKey(cluster, PREFIX);
  const followers = cluster.nodes.map((_, i) => i + 1).filter(number => number !== leader);
  const ours = {
    address: cluster.node(leader).options.grpcAddress,
    pids: [leader, ...followers].map(number => cluster.node(number).pid as number),
  };
  const theirs = etcd && { address: etcd.addresses[0] as string, pids: etcd.pids };
  const key = `${PREFIX}watched`;
  const shape = (name: string, kind: WatchKind, over: number, rival?: string): readonly Contestant[] => {
    const store = kind.startsWith('etcd') ? theirs : ours;
    if (!store) return [];
    const { address, pids } = store;
    return [{ name, pids, rival, spec: { kind, address, key, watches, connections: over } }];
  };
  const spread = `on ${connections} connections`;
  return [
    ...shape('kahuna', 'kahuna-many', 1, 'etcd'),
    ...shape('kahuna library', 'kahuna-library', 1, 'etcd'),
    ...shape('etcd', 'etcd-many', 1),
    ...shape(`kahuna ${spread}`, 'kahuna-many', connections, `etcd ${spread}`),
    ...shape(`etcd ${spread}`, 'etcd-many', connections),
    ...(calls ? [...shape('kahuna calls', 'kahuna-calls', 1), ...shape('etcd calls', 'etcd-calls', 1)] : []),
  ];
}

/** Interleaved: within a round each contestant has its turn, and every other round the order is turned round. */
async function measureAll(
  contestants: readonly Contestant[],
  load: WatchLoad,
  rounds: number,
  warmUpSeconds: number,
): Promise<ReadonlyMap<string, readonly Round[]>> {
  const measured = new Map<string, Round[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : [...contestants].reverse()) {
      const one = await measure(contestant, load, warmUpSeconds);
      measured.get(contestant.name)?.push(one);
      const { p50Ms, p99Ms } = one.result;
      console.log(`round ${round + 1}: ${contestant.name}: p50 ${p50Ms.toFixed(2)} p99 ${p99Ms.toFixed(2)} ms`);
    }
  }
  return measured;
}

/** Its watches are open only meanwhile: those of the others watch the same key. */
async function measure({ spec, pids }: Contestant, load: WatchLoad, warmUpSeconds: number): Promise<Round> {
  const child = new Child<WatchCommand, WatchResult>(join(import.meta.dirname, 'watch', 'watch-worker.ts'));
  try {
    await child.tell({ kind: 'open', spec });
    const writes = Math.ceil((warmUpSeconds * 1000) / load.intervalMs);
    await child.tell({ kind: 'run', load: { ...load, writes } });
    const before = pids.map(cpuSeconds);
    const result = await child.tell({ kind: 'run', load });
    if (!result) throw new Error('load generator gave no result');
    return { result, serverCpuSeconds: pids.map((pid, i) => cpuSeconds(pid) - (before[i] ?? 0)) };
  } finally {
    await child.close({ kind: 'close' });
  }
}

function report(contestants: readonly Contestant[], measured: ReadonlyMap<string, readonly Round[]>, watches: number): void {
  const over = (name: string, pick: (round: Round) => number): number => median((measured.get(name) ?? []).map(pick));
  const each = (round: Round, seconds: number): number => (seconds / Math.max(1, round.result.deliveries)) * 1e6;
  const p99 = (name: string): number => over(name, ({ result }) => result.p99Ms);
  const lines = contestants.map(({ name, rival }) => [
    `${watches.toLocaleString('en-US')} watches, ${name}`,
    figure(over(name, ({ result }) => result.p50Ms)),
    figure(p99(name)),
    figure(over(name, ({ result }) => result.lastMs)),
    figure(over(name, round => each(round, round.result.cpuSeconds))),
    figure(over(name, round => each(round, round.serverCpuSeconds[0] ?? 0))),
    figure(
      over(name, round =>
        each(
          round,
          round.serverCpuSeconds.slice(1).reduce((sum, seconds) => sum + seconds, 0),
        ),
      ),
    ),
    rival !== undefined && measured.has(rival) ? `${figure(p99(name) / p99(rival))} ×` : '–',
    String((measured.get(name) ?? []).reduce((sum, { result }) => sum + result.errors, 0)),
  ]);
  const head = [
    'load',
    'p50 ms',
    'p99 ms',
    'all told ms',
    'client µs',
    'serving node µs',
    'other nodes µs',
    'p99 to etcd',
    'errors',
  ];
  console.log(`\n${table(head, lines)}`);
  const judged = contestants.flatMap(({ name, rival }) => {
    if (rival === undefined || !measured.has(rival)) return [];
    const ratio = p99(name) / p99(rival);
    return [[`p99 of a delivery: ${name} to ${rival}`, `≤ ${GOAL} ×`, `${figure(ratio)} ×`, ratio <= GOAL ? 'yes' : 'no']];
  });
  if (judged.length > 0) console.log(`\n${table(['goal (latency)', 'wanted', 'measured', 'reached'], judged)}`);
}
