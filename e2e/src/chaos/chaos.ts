import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rng } from '@kahuna/base';
import { checkRegisters, type SnapshotReport } from '@kahuna/sim';
import { BatchKv, GrpcKv } from '../clients/grpc-kv.ts';
import { GrpcHolds, RestHolds } from '../clients/hold-api.ts';
import type { KvApi } from '../clients/kv-api.ts';
import { Type } from '../clients/kv-api.ts';
import { GrpcLocks, RestLocks } from '../clients/lock-api.ts';
import { RestKv } from '../clients/rest-kv.ts';
import { GrpcScans, RestScans } from '../clients/scan-api.ts';
import { GrpcSequences, RestSequences } from '../clients/sequence-api.ts';
import { GrpcWatches } from '../clients/watch-api.ts';
import { Cluster, type ClusterOptions } from '../harness/cluster.ts';
import { HANGS_MS } from '../harness/processes.ts';
import { DiskFull } from './disk-full.ts';
import {
  DEAFEN,
  DELAY,
  described,
  type Fault,
  FaultInjector,
  type Inflicted,
  ISOLATE,
  KILL,
  MUTE,
  PAUSE,
  REPAIR_MS,
} from './faults.ts';
import { Workload } from './history.ts';
import { LockWorkload } from './lock-workload.ts';
import { SequenceWorkload } from './sequence-workload.ts';
import type { SideWorkload } from './side-workload.ts';
import { type SnapshotApis, SnapshotWorkload } from './snapshot-workload.ts';
import { WatchWorkload } from './watch-workload.ts';

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly clientsPerNode: number;
  /**
   * A run that did less than this says nothing (transactions §18.1): on a busy machine it goes on beyond its time, up to six times
   * as long. Answered operations on keys, and those of each other workload.
   */
  readonly least?: { readonly operations: number; readonly beside: number };
  /** Names of faults to confine the run to; all of them by default. */
  readonly only?: readonly string[];
  readonly cluster?: ClusterOptions;
  /** Where logs and history go when something is wrong, and always if `keep` is set. */
  readonly evidence: string;
  readonly keep?: boolean;
}

export interface ChaosReport {
  /** undefined = all well. */
  readonly violation: string | undefined;
  readonly faults: readonly Inflicted[];
  /** Kinds of faults that the run was to have in it: those asked for that this machine allows. */
  readonly kinds: readonly string[];
  readonly operations: number;
  readonly unknown: number;
  readonly broken: number;
  readonly perSecond: number;
  readonly keys: number;
  /** Operations of the other workloads by name, answered or not. */
  readonly beside: Readonly<Record<string, number>>;
  /** What the reads of the past came to; undefined if the run broke off. */
  readonly snapshots: SnapshotReport | undefined;
  /** How often a watch was taken up again. */
  readonly watchesResumed: number;
}

/** After the last repair every key must be readable through every node: this ends what hangs. */
const RECOVERY_MS = HANGS_MS;

/** Three nodes, clients on all of them, one fault after the other; afterwards the history is checked. */
export async function runChaos(options: ChaosOptions, say: (line: string) => void): Promise<ChaosReport> {
  const rng = new Rng(options.seed);
  const disk = await DiskFull.create();
  const retentionMs = retentionFor(options.seconds);
  const cluster = await Cluster.start({
    ...options.cluster,
    args: [...(options.cluster?.args ?? []), ...pruning(retentionMs)],
    dataDirectory: node => disk.directoryOf(node),
  });
  const apis = clientsOf(cluster, options.clientsPerNode);
  const workload = new Workload({ seed: options.seed, thinkMs: 10, keys: 10, epochMs: 10_000 });
  const snapshots = new SnapshotWorkload({ seed: options.seed, retentionMs }, snapshotApis(cluster));
  const watches = watchWorkload(cluster, options.seed, retentionMs);
  const beside: readonly SideWorkload[] = [...lockAndSequenceWorkloads(cluster, options.seed), snapshots, watches];
  const stop = (): Promise<unknown> => Promise.all([workload.stop(), ...beside.map(side => side.stop())]);
  const faults = [KILL, PAUSE, ISOLATE, MUTE, DEAFEN, DELAY, ...disk.faults()];
  const chosen = options.only ? faults.filter(fault => options.only?.some(name => fault.kind.includes(name))) : faults;
  const injector = new FaultInjector(cluster, planFor(chosen, options.seconds), rng, say);
  const began = performance.now();
  let violation: string | undefined;
  try {
    workload.start(apis);
    for (const side of beside) side.start(2 * options.clientsPerNode);
    const least = options.least ?? { operations: 0, beside: 0 };
    const timer = setInterval(() => {
      const lastedSeconds = (performance.now() - began) / 1000;
      const isEnough = workload.counts.answered > least.operations && beside.every(side => side.events.length > least.beside);
      if (!injector.isComplete) return;
      if (lastedSeconds > options.seconds && (isEnough || lastedSeconds > 6 * options.seconds)) injector.stop();
    }, 100);
    await injector.run().finally(() => clearInterval(timer));
    await stop();
    cluster.network.heal();
    await cluster.ready(REPAIR_MS);
    violation = (await everythingReadable(workload, apis)) ?? verdict(workload, injector);
    for (const side of beside) violation ??= named(side, (await side.settle(RECOVERY_MS)) ?? side.verdict());
  } catch (error) {
    violation = `the run broke off: ${error instanceof Error ? error.stack : String(error)}`;
    await stop();
  } finally {
    if (violation !== undefined || options.keep) {
      keepEvidence(cluster, workload, beside, options.evidence, violation, injector.done);
    }
    for (const api of apis) api.close();
    for (const side of beside) await side.close();
    await cluster.close();
    disk.remove();
  }
  const { answered, unknown, broken } = workload.counts;
  const seconds = (performance.now() - began) / 1000;
  return {
    violation,
    faults: injector.done,
    kinds: chosen.map(({ kind }) => kind),
    operations: answered,
    unknown,
    broken,
    perSecond: answered / seconds,
    keys: workload.keys().length,
    beside: Object.fromEntries(beside.map(side => [side.name, side.events.length])),
    snapshots: snapshots.report,
    watchesResumed: watches.resumes,
  };
}

/** History is pruned, so that holds have something to protect; watchers that are away for a fault come back in time. Milliseconds. */
function retentionFor(seconds: number): number {
  return seconds >= 120 ? 20_000 : 10_000;
}

function pruning(retentionMs: number): readonly string[] {
  const seconds = String(retentionMs / 1000);
  return ['--persistent-revision-retention-age', seconds, '--persistent-revision-cleanup-interval', '5'];
}

function lockAndSequenceWorkloads({ nodes }: Cluster, seed: number): SideWorkload[] {
  const locks = nodes.map((node, i) => (i % 2 ? new RestLocks(node.url) : GrpcLocks.inFrames(node.options.grpcAddress)));
  const sequences = nodes.map((node, i) =>
    i % 2 ? GrpcSequences.inFrames(node.options.grpcAddress) : new RestSequences(node.url),
  );
  return [new LockWorkload(seed, locks), new SequenceWorkload(seed, sequences)];
}

function snapshotApis({ nodes }: Cluster): SnapshotApis[] {
  return nodes.map(({ url, options: { grpcAddress } }, i) =>
    i % 2
      ? { url, kv: new RestKv(url), scans: new GrpcScans(grpcAddress), holds: new RestHolds(url) }
      : { url, kv: new GrpcKv(grpcAddress), scans: new RestScans(url), holds: new GrpcHolds(grpcAddress) },
  );
}

function watchWorkload({ nodes }: Cluster, seed: number, retentionMs: number): WatchWorkload {
  const apis = nodes.map(node => new BatchKv(node.options.grpcAddress));
  return new WatchWorkload(
    { seed, retentionMs },
    apis,
    nodes.map(node => new GrpcWatches(node.options.grpcAddress)),
  );
}

/** Long runs let faults last longer than a lease and an election; a short one, which needs to get through all of them, than an election. */
function planFor(faults: readonly Fault[], seconds: number): ConstructorParameters<typeof FaultInjector>[1] {
  return seconds >= 120
    ? { faults, lastsMs: [1000, 9000], restsMs: [500, 4000] }
    : { faults, lastsMs: [1500, 2500], restsMs: [100, 400] };
}

/** The clients of every node take turns in what they speak. */
function clientsOf(cluster: Cluster, perNode: number): KvApi[] {
  const make = [
    (node: Cluster['nodes'][number]) => new BatchKv(node.options.grpcAddress),
    (node: Cluster['nodes'][number]) => new RestKv(node.url),
    (node: Cluster['nodes'][number]) => new GrpcKv(node.options.grpcAddress),
  ];
  return cluster.nodes.flatMap(node =>
    Array.from({ length: perNode }, (_, i) => (make[i % make.length] as (typeof make)[0])(node)),
  );
}

/** Liveness, and the end of the history: each key is read through some node once all is well. */
async function everythingReadable(workload: Workload, apis: readonly KvApi[]): Promise<string | undefined> {
  const keys = workload.keys();
  for (let from = 0; from < keys.length; from += 50) {
    const read = keys.slice(from, from + 50).map(async (key, i) => {
      const client = (from + i) % apis.length;
      return (await workload.readBack(client, apis[client] as KvApi, key, RECOVERY_MS)) ? undefined : key;
    });
    const unread = (await Promise.all(read)).filter(key => key !== undefined);
    if (unread.length > 0) return `not readable ${RECOVERY_MS} ms after the last repair: ${unread.join(', ')}`;
  }
  return undefined;
}

function verdict(workload: Workload, injector: FaultInjector): string | undefined {
  if (injector.unexpectedEnds.length > 0) return injector.unexpectedEnds.join('\n');
  if (workload.counts.types.has(Type.WaitingForReplication)) return 'a client saw type 11 (keyvalues:C15)';
  return checkRegisters(workload.history).violation;
}

function named(side: SideWorkload, violation: string | undefined): string | undefined {
  return violation === undefined ? undefined : `${side.name}: ${violation}`;
}

/** One JSON object per line. */
function jsonLines(events: readonly object[]): string {
  const plain = (_: string, value: unknown): unknown =>
    typeof value === 'bigint' ? String(value) : value instanceof Map ? Object.fromEntries(value) : value;
  return events.map(event => JSON.stringify(event, plain)).join('\n');
}

function keepEvidence(
  cluster: Cluster,
  workload: Workload,
  beside: readonly SideWorkload[],
  directory: string,
  violation: string | undefined,
  faults: readonly Inflicted[],
): void {
  mkdirSync(directory, { recursive: true });
  cluster.keepLogs(directory);
  writeFileSync(join(directory, 'history.jsonl'), jsonLines(workload.history));
  for (const side of beside) writeFileSync(join(directory, `${side.name}.jsonl`), jsonLines(side.events));
  writeFileSync(join(directory, 'verdict.txt'), `${violation ?? 'no violation'}\n\n${faults.map(described).join('\n')}\n`);
}
