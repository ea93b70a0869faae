import { HLC_ZERO } from '@kahuna/base';
import type { ReceivedResult, RequestedOperation } from '@kahuna/wire';
import { KahunaClient } from './client.ts';
import { Type } from './key-calls.ts';
import type { Connection, Reply, Transport } from './transport.ts';

/**
 * What a call costs above its transport: 64 at a time through the client, and 64 bare promises, over a transport that answers in
 * the next turn of the event loop. Run a bundle, for tsx adds a call to every closure:
 * `npx esbuild libs/client/src/client.bench.ts --bundle --platform=node --format=esm --external:@grpc/grpc-js | node --input-type=module`
 */
const CONCURRENT = 64;
const ROUNDS = 1500;
const RUNS = 12;

const value = new Uint8Array(256).fill(7);
let waiting: { readonly kind: RequestedOperation['kind']; readonly reply: Pick<Reply<ReceivedResult>, 'answered'> }[] = [];
let calling: Reply<unknown>[] = [];
const ALLOCATED = { Type: 0, Allocation: { Name: 'bench', Start: 7n, End: 7n, Count: 1, Revision: 1n } };

function answerAll(): void {
  const replies = waiting;
  waiting = [];
  for (const { kind, reply } of replies) {
    reply.answered({
      type: kind === 'get' ? Type.TYPE_GOT : Type.TYPE_SET,
      revision: 1,
      value: kind === 'get' ? value : null,
      expires: HLC_ZERO,
      lastUsed: HLC_ZERO,
      lastModified: HLC_ZERO,
      state: 0,
      elapsedMs: 0,
      hint: undefined,
    });
  }
}

function send(kind: RequestedOperation['kind'], reply: Pick<Reply<ReceivedResult>, 'answered'>): void {
  if (waiting.length === 0) setImmediate(answerAll);
  waiting.push({ kind, reply });
}

function allocateAll(): void {
  const replies = calling;
  calling = [];
  for (const reply of replies) reply.answered(ALLOCATED);
}

function call(reply: Reply<unknown>): void {
  if (calling.length === 0) setImmediate(allocateAll);
  calling.push(reply);
}

const unused = (): never => {
  throw new Error('not part of this benchmark');
};
const connection: Connection = {
  operate: (operation, reply) => send(operation.kind, reply),
  call: (_method, _request, _timeoutMs, reply) => call(reply as Reply<unknown>),
  pages: unused,
  watch: unused,
  close: () => undefined,
};
const transport: Transport = { name: 'immediate', connect: () => connection };
// Routes would be asked of the transport, which has nothing to say about them.
const kahuna = new KahunaClient({ endpoints: 'http://127.0.0.1:2070', learnRoutes: false }, transport);
const sequence = kahuna.sequence('bench');
const keys = Array.from({ length: CONCURRENT }, (_, i) => `bench/key-${i}`);

const subjects: Readonly<Record<string, () => Promise<unknown>>> = {
  'bare promise': () => Promise.all(keys.map(() => new Promise(answered => send('set', { answered })))),
  set: () => Promise.all(keys.map(key => kahuna.keys.set(key, value))),
  get: () => Promise.all(keys.map(key => kahuna.keys.get(key))),
  next: () => Promise.all(keys.map(() => sequence.next())),
};

const best = new Map<string, number>();
for (let run = 0; run < RUNS; run++) {
  for (const [name, subject] of Object.entries(subjects)) {
    const before = process.cpuUsage();
    for (let round = 0; round < ROUNDS; round++) await subject();
    const { user, system } = process.cpuUsage(before);
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, (user + system) / (ROUNDS * CONCURRENT)));
  }
}
for (const [name, microseconds] of best) console.log(`${name.padEnd(14)} ${microseconds.toFixed(2)} µs CPU each`);
await kahuna.close();
