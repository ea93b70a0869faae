import { join } from 'node:path';
import type { Cluster } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import { type Contestant, compare, type Measurement, type Plan } from './compare.ts';
import { EtcdCluster, etcdMissing } from './etcd/etcd-cluster.ts';
import { goalsTable, numbersTable, ratioTable } from './etcd-report.ts';
import type { TargetKind } from './load/target.ts';
import { saveResult } from './results.ts';

const say = (line: string): void => console.log(line);

/**
 * All keys of the comparison lie in one key space, so that one leader serves them, as in etcd. The clients of both stores talk to
 * that leader.
 */
const KEY_PREFIX = 'bench/';

export interface Shape {
  readonly name: string;
  readonly kind: TargetKind;
  readonly connections: number;
}

/** The calls that are compared: ours by the batch stream and unary, etcd's by grpc-js and by the cheapest client. */
export const USUAL: readonly Shape[] = [
  { name: 'kahuna', kind: 'kahuna-batch', connections: 1 },
  { name: 'kahuna unary', kind: 'kahuna-unary', connections: 1 },
  { name: 'etcd', kind: 'etcd-grpc', connections: 1 },
  { name: 'etcd http2', kind: 'etcd-http2', connections: 1 },
];

export const MANY_CONNECTIONS: readonly Shape[] = [
  { name: 'kahuna, 64 connections', kind: 'kahuna-batch', connections: 64 },
  { name: 'kahuna unary, 64 connections', kind: 'kahuna-unary', connections: 64 },
  { name: 'etcd, 64 connections', kind: 'etcd-grpc', connections: 64 },
  { name: 'etcd http2, 64 connections', kind: 'etcd-http2', connections: 64 },
];

/** Runs the shapes against both clusters in one interleaved run, prints the tables and keeps the numbers. */
export async function benchAgainstEtcd(
  args: Arguments,
  name: string,
  shapes: readonly Shape[],
  defaults: Partial<Plan> = {},
): Promise<void> {
  const plan: Plan = {
    operations: args.text('operations', 'put,get').split(',') as Plan['operations'],
    workers: args.numbers('workers', defaults.workers ?? [1, 16, 64, 256]),
    rounds: args.number('rounds', defaults.rounds ?? 3),
    secondsPerRound: args.number('seconds', defaults.secondsPerRound ?? 2),
    keys: args.number('keys', 10_000),
    valueBytes: args.number('value-bytes', 256),
  };
  const missing = args.flag('without-etcd') ? 'etcd is left out as asked' : etcdMissing();
  if (missing) say(missing);
  const only = args.text('only', '');
  const wanted = shapes.filter(
    shape => (!missing || !shape.kind.startsWith('etcd')) && (only === '' || only.split(',').includes(shape.name)),
  );

  await withDirectory(args.text('directory', ''), directory =>
    withCluster({ directory: join(directory, 'kahuna'), args: serverArguments(args) }, async cluster => {
      const etcd = missing ? undefined : await EtcdCluster.start(join(directory, 'etcd'));
      try {
        const contestants = await Promise.all(wanted.map(shape => contestant(shape, cluster, etcd)));
        const measured = await compare(contestants, plan, say);
        report(name, plan, measured);
      } finally {
        await etcd?.stop();
      }
    }),
  );
}

/** Further flags for the servers under test: `--server "--flag value"`. */
export const serverArguments = (args: Arguments): readonly string[] => args.text('server', '').split(' ').filter(Boolean);

async function contestant(shape: Shape, cluster: Cluster, etcd: EtcdCluster | undefined): Promise<Contestant> {
  const common = { name: shape.name, connections: shape.connections };
  if (shape.kind.startsWith('etcd')) {
    if (!etcd) throw new Error('etcd does not run');
    return {
      ...common,
      target: { kind: shape.kind, address: etcd.addresses[0] as string },
      keyPrefix: KEY_PREFIX,
      pids: etcd.pids,
    };
  }
  const { leader, followers } = await leaderOfKey(cluster, KEY_PREFIX);
  const pids = [leader, ...followers].map(number => cluster.node(number).pid as number);
  return {
    ...common,
    target: { kind: shape.kind, address: cluster.node(leader).options.grpcAddress },
    keyPrefix: KEY_PREFIX,
    pids,
  };
}

/** Asks the cluster, by a read, which node leads the partition of a key. */
export async function leaderOfKey(cluster: Cluster, prefix: string): Promise<{ leader: number; followers: readonly number[] }> {
  const answer = await fetch(`${cluster.firstRunning().url}/v1/kv/try-get`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key: `${prefix}00000000`, durability: 1 }),
  });
  const { route } = (await answer.json()) as { route: { partitionId: number } };
  const leader = await cluster.leaderOf(route.partitionId);
  const followers = cluster.nodes.map((_, i) => i + 1).filter(number => number !== leader && cluster.node(number).running);
  return { leader, followers };
}

function report(name: string, plan: Plan, measured: readonly Measurement[]): void {
  const names = [...new Set(measured.map(m => m.contestant))];
  const ours = names.filter(contestantName => contestantName.startsWith('kahuna'));
  const theirs = names.filter(contestantName => contestantName.startsWith('etcd'));
  say(`\n${numbersTable(measured)}`);
  if (theirs.length > 0) say(`\n${ratioTable(measured, ours, theirs)}`);
  if (names.includes('kahuna') && names.includes('etcd')) say(`\n${goalsTable(measured, 'kahuna', 'etcd')}`);
  say(`\nnumbers kept in ${saveResult(name, { plan, measured })}`);
}
