import { grpcTransport, restTransport } from '@kahuna/client';
import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { BatchKv, GrpcKv } from '../clients/grpc-kv.ts';
import { GrpcLocks, type LockApi, RestLocks } from '../clients/lock-api.ts';
import { RestKv } from '../clients/rest-kv.ts';
import { GrpcScans, RestScans } from '../clients/scan-api.ts';
import { GrpcSequences, RestSequences, type SequenceApi } from '../clients/sequence-api.ts';
import { StreamScans } from '../clients/stream-scans.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { ClientApi, ClientLocks, ClientSequences } from './client-api.ts';
import { KeyRun, keyOperation, type Surface } from './key-operations.ts';
import { lockOperation, runLocks } from './lock-operations.ts';
import { runSequences, sequenceOperation } from './sequence-operations.ts';

/**
 * Random operations over every transport, on any node, against the server and against a small model of the specification. Longer:
 *
 *     KAHUNA_PROPERTY_SECONDS=600 npx vitest run --project e2e e2e/src/property
 *
 * A failure prints its seed and the shortest list that was found; KAHUNA_PROPERTY_SEED replays it.
 */
const SECONDS = Number(process.env['KAHUNA_PROPERTY_SECONDS'] ?? 5);
const SEED = process.env['KAHUNA_PROPERTY_SEED'] === undefined ? undefined : Number(process.env['KAHUNA_PROPERTY_SEED']);
const NODES = Number(process.env['KAHUNA_PROPERTY_NODES'] ?? 1);

/** Lists run side by side: each waits for its answers most of the time. */
const LANES = [1, 2, 3];
/** Seeds of one lane follow one another; lanes are so far apart. */
const LANE_SEEDS = 1_000_003;
/** For the search of a shorter list. */
const SHRINK_MS = 120_000;

let cluster: Cluster;
const surfaces: Surface[] = [];
const locks: LockApi[] = [];
const sequences = { transports: [] as SequenceApi[], libraries: [] as SequenceApi[] };
let runs = 0;

/** List after list until the time is over, each of its own seed; the first that fails is made shorter and reported. */
async function check<T>(
  lane: number,
  operation: fc.Arbitrary<T>,
  run: (own: string, operations: T[]) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 80, size: 'max' }), operations =>
    run(`property-${runs++}-`, operations),
  );
  const end = performance.now() + SECONDS * 1000;
  for (let seed = SEED ?? (Date.now() + lane * LANE_SEEDS) | 0; ; seed++) {
    await fc.assert(property, { seed, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS });
    if (SEED !== undefined || performance.now() > end) return;
  }
}

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: NODES, breakableNetwork: false, args: SOON_READY });
  for (const node of cluster.nodes) {
    const { grpcAddress } = node.options;
    surfaces.push(
      { name: 'REST', kv: new RestKv(node.url), scans: new RestScans(node.url), complete: true },
      { name: 'gRPC', kv: new GrpcKv(grpcAddress), scans: new GrpcScans(grpcAddress), complete: true },
      { name: 'gRPC batch stream', kv: new BatchKv(grpcAddress), scans: new StreamScans(grpcAddress), complete: true },
    );
  }
  for (const { url, options } of cluster.nodes) {
    const { grpcAddress } = options;
    locks.push(
      new RestLocks(url),
      GrpcLocks.unary(grpcAddress),
      GrpcLocks.onLockStream(grpcAddress),
      GrpcLocks.inFrames(grpcAddress),
    );
    sequences.transports.push(new RestSequences(url), GrpcSequences.unary(grpcAddress), GrpcSequences.inFrames(grpcAddress));
  }
  const urls = cluster.nodes.map(node => node.url);
  for (const [name, transport, endpoints] of [
    ['client library, REST', restTransport(), urls],
    ['client library, gRPC', grpcTransport(), cluster.nodes.map(node => `http://${node.options.grpcAddress}`)],
  ] as const) {
    const client = new ClientApi(name, endpoints, transport);
    surfaces.push({ name, kv: client, scans: client, complete: false });
    locks.push(new ClientLocks(name, endpoints, transport));
    sequences.libraries.push(new ClientSequences(name, endpoints, transport));
  }
});

afterAll(async () => {
  for (const { kv, scans } of surfaces) {
    kv.close();
    scans.close();
  }
  for (const api of [...locks, ...sequences.transports, ...sequences.libraries]) api.close();
  await cluster?.close();
});

test.concurrent.each(LANES)(
  'keys of both durabilities answer as the model says, whatever carries the question (%i)',
  async lane => {
    await check(lane, keyOperation, (own, operations) => new KeyRun(surfaces, own).run(operations));
  },
);

test.concurrent('locks answer as the model says, whatever carries the question', async () => {
  await check(LANES.length + 1, lockOperation, (own, operations) => runLocks(locks, own, operations));
});

test.concurrent('sequences answer as the model says, whatever carries the question', async () => {
  await check(LANES.length + 2, sequenceOperation, (own, operations) => runSequences(sequences, own, operations));
});
