import { HLC_ZERO } from '@kahuna/base';
import type { OperationResult } from '@kahuna/partition';
import {
  addOperationRequest,
  addOperationResponse,
  EnvelopeFrames,
  EnvelopeReader,
  isOneKeyType,
  MAX_BATCH_MESSAGE_BYTES,
  OperationDecoder,
} from './batch-codec.ts';
import { GrpcBatchClientKeyValueRequest, GrpcBatchClientKeyValueResponse } from './generated/keyvalues.ts';
import { GrpcRouteHint } from './generated/routing.ts';

/**
 * What one set of 256 bytes costs a server in the codec: a frame of 64 requests decoded into operations, their results encoded
 * into a response frame. Run: `npx tsx libs/wire/src/codec.bench.ts`.
 */
const ITEMS = 64;
const ROUNDS = 4000;
const RUNS = 8;

const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
frames.allowFrames();
for (let i = 0; i < ITEMS; i++) {
  addOperationRequest(frames, 1_000_000 + i, {
    kind: 'set',
    key: `orders/customer-${4000 + i}`,
    value: new Uint8Array(256).fill(i),
    expiresMs: 0,
    flags: 1,
    compareValue: null,
    compareRevision: 0,
    durability: 1,
  });
}
const request = Buffer.from(frames.take()[0] as Uint8Array);
const hint = GrpcRouteHint.encode({ PartitionId: 3, Endpoint: 'https://localhost:8082', Provenance: 1, Generation: 0n }).finish();
const result: OperationResult = {
  type: 0,
  revision: 41,
  value: null,
  expires: HLC_ZERO,
  lastUsed: HLC_ZERO,
  lastModified: { n: 1, l: 1_763_715_600_123, c: 7 },
  state: 0,
  route: undefined,
};

/** CPU time of the best of several runs: other work on the machine can only add. */
function measure(name: string, round: () => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < ROUNDS; i++) round();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / (ROUNDS * ITEMS));
  }
  console.log(`${name.padEnd(28)}${best.toFixed(3)} us/op`);
}

const envelopes = new EnvelopeReader();
const decoder = new OperationDecoder();
let seen = 0;

measure('decode, hand-written', () => {
  envelopes.reset(request);
  while (envelopes.next()) {
    const { type } = envelopes;
    if (isOneKeyType(type)) seen += decoder.decode(type, request, envelopes.payloadStart, envelopes.payloadEnd).key.length;
  }
});

measure('encode, hand-written', () => {
  frames.clear();
  frames.allowFrames();
  for (let i = 0; i < ITEMS; i++) addOperationResponse(frames, 1, 1_000_000 + i, result, 2, hint, undefined);
  seen += frames.take().length;
});

const response = GrpcBatchClientKeyValueResponse.decode(frames.take()[0] as Uint8Array);
measure('decode, generated', () => {
  seen += GrpcBatchClientKeyValueRequest.decode(request).RequestId;
});
measure('encode, generated', () => {
  seen += GrpcBatchClientKeyValueResponse.encode(response).finish().length;
});
if (seen === 0) throw new Error('nothing was measured');
