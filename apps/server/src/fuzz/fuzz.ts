import { Rng } from '@kahuna/base';
import { type EmbeddedNode, startEmbeddedNode } from '../embedded.ts';
import { GrpcFuzzer } from './fuzz-grpc.ts';
import { RestFuzzer } from './fuzz-rest.ts';
import { WatchFuzzer } from './fuzz-watch.ts';

export interface FuzzReport {
  readonly seed: number;
  readonly grpcCalls: number;
  readonly restRequests: number;
  readonly watchMessages: number;
  /** What the server did wrong, and faults that it reported itself. */
  readonly findings: readonly string[];
}

/** Requests under way at a time, of each kind. */
const LANES = 4;
const MAX_FINDINGS = 20;

/**
 * Sends malformed and hostile requests to every gRPC method, REST route and WebSocket of a real node for some time, and at least so many of
 * each kind, however slow the machine is. The seed decides what each lane sends; answers come as they come.
 */
export async function fuzz(seconds: number, seed: number, least = 0): Promise<FuzzReport> {
  const findings: string[] = [];
  await using node = await startEmbeddedNode({ onFault: (what, error) => findings.push(`${what}: ${describe(error)}`) });
  const rng = new Rng(seed);
  const grpc = Array.from({ length: LANES }, () => new GrpcFuzzer(node.address, rng.fork()));
  const rest = Array.from({ length: LANES }, () => new RestFuzzer(node.url, rng.fork()));
  const watch = Array.from({ length: LANES }, () => new WatchFuzzer(node.url, rng.fork()));
  await Promise.all(rest.map(fuzzer => fuzzer.load()));

  const endMs = performance.now() + seconds * 1000;
  const lane = async (once: () => Promise<void>): Promise<void> => {
    for (let sent = 0; (performance.now() < endMs || sent * LANES <= least) && findings.length < MAX_FINDINGS; sent++) {
      await once().catch((error: unknown) => findings.push(describe(error)));
    }
  };
  await Promise.all([...grpc, ...rest, ...watch].map(fuzzer => lane(() => fuzzer.once())));
  for (const fuzzer of [...grpc, ...rest]) fuzzer.close();

  findings.push(...(await stillServes(node)));
  return {
    seed,
    grpcCalls: grpc.reduce((sum, { calls }) => sum + calls, 0),
    restRequests: rest.reduce((sum, { requests }) => sum + requests, 0),
    watchMessages: watch.reduce((sum, { messages }) => sum + messages, 0),
    findings,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** After all of it the node is ready, writes and reads. */
async function stillServes({ url }: EmbeddedNode): Promise<string[]> {
  const post = async (path: string, body: object): Promise<{ readonly type?: number; readonly value?: string }> => {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })).json() as Promise<object>;
  };
  const key = 'after-the-storm';
  const health = await fetch(`${url}/v1/cluster/health`);
  const set = await post('/v1/kv/try-set', { key, value: 'AQ==', durability: 1 });
  const got = await post('/v1/kv/try-get', { key, durability: 1 });
  const fine = health.status === 200 && set.type === 0 && got.type === 3 && got.value === 'AQ==';
  return fine ? [] : [`the node does not serve any more: ${health.status} ${JSON.stringify([set, got])}`];
}
