import { EventEmitter } from 'node:events';
import { HLC_ZERO } from '@kahuna/base';
import type { KahunaNode, ResultSink } from '@kahuna/node';
import { Durability, type OperationResult, ResponseType, type ScanAnswer } from '@kahuna/partition';
import { KEY_VALUE_ENVELOPES, keyValueMessages } from '@kahuna/wire';
import { expect, test } from 'vitest';
import { MAX_UNREAD_BYTES, Unread } from '../gateway/unread.ts';
import { type BatchCall, FramePool } from './batch-stream.ts';
import { KeyValueStream } from './key-value-stream.ts';
import { RouteHints } from './route-hints.ts';

const { GrpcBatchClientKeyValueRequest: Request, GrpcBatchClientKeyValueResponse: Response } = keyValueMessages;
const VALUE_BYTES = 3 * 1024 * 1024;
const REQUESTS = 120;

/** A client that does not read until it is told to: what was written waits. */
class DeafCall extends EventEmitter {
  readonly written: { readonly bytes: Buffer; readonly done: (() => void) | undefined }[] = [];
  readonly answers: { readonly requestId: number; readonly type: number }[] = [];

  sendMetadata(): void {
    return;
  }

  pause(): void {
    return;
  }

  resume(): void {
    return;
  }

  write(bytes: Buffer, done: (() => void) | undefined): boolean {
    this.written.push({ bytes, done });
    return false;
  }

  get waitingBytes(): number {
    return this.written.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  async readAll(): Promise<void> {
    for (let turns = 0; turns < 10 && this.answers.length < REQUESTS; turns++) {
      for (let next = this.written.shift(); next !== undefined; next = this.written.shift()) {
        const { RequestId, payload } = Response.decode(next.bytes);
        if (payload?.$case === 'TryGetKeyValue') this.answers.push({ requestId: RequestId, type: payload.TryGetKeyValue.Type });
        if (payload?.$case === 'GetByBucket') this.answers.push({ requestId: RequestId, type: payload.GetByBucket.Type });
        next.done?.();
        turns = 0;
      }
      await new Promise(resolve => setImmediate(resolve));
    }
  }
}

function found(): OperationResult {
  const times = { expires: HLC_ZERO, lastUsed: HLC_ZERO, lastModified: HLC_ZERO };
  return { type: ResponseType.Get, revision: 0, value: new Uint8Array(VALUE_BYTES), ...times, state: 1, route: undefined };
}

function open(answer: () => OperationResult = found, unread = new Unread({ monotonicMs: () => 1 })): DeafCall {
  const call = new DeafCall();
  const node = {
    submit: (_operation: unknown, sink: ResultSink, token: number) => sink.complete(token, answer()),
    scan: async (): Promise<ScanAnswer> => {
      const rows = [{ key: 'b/k', durability: Durability.Persistent, result: found() }];
      return { type: ResponseType.Get, rows, hasMore: false, nextCursor: undefined };
    },
  } as unknown as KahunaNode;
  const clock = { monotonicMs: () => 1, wallMs: () => 1 };
  const hintOptions = { localUrl: '', disabled: true, hidePeers: false };
  const fault = (what: string, error: unknown): void => {
    throw new Error(what, { cause: error });
  };
  const context = {
    node,
    hints: new RouteHints(node, clock, hintOptions),
    settings: { clock, hints: hintOptions, unread, protoFolder: undefined, onFault: fault },
    frames: new FramePool(KEY_VALUE_ENVELOPES),
  };
  new KeyValueStream(call as unknown as BatchCall, context, () => undefined);
  return call;
}

const NO_SESSION = { TransactionIdNode: 0, TransactionIdPhysical: 0n, TransactionIdCounter: 0, CoordinatorKey: '' };
const NO_TIME = { ReadTimestampNode: 0, ReadTimestampPhysical: 0n, ReadTimestampCounter: 0 };
const NOTHING = { ...NO_SESSION, ...NO_TIME, OperationIdHigh: 0n, OperationIdLow: 0n, Durability: 1 } as const;
const { GrpcClientBatchType: Type } = keyValueMessages;

function get(RequestId: number): Buffer {
  const TryGetKeyValue = { ...NOTHING, Key: 'k', Revision: -1n };
  const payload = { $case: 'TryGetKeyValue', TryGetKeyValue } as const;
  return Buffer.from(Request.encode({ Type: Type.TRY_GET_KEY_VALUE, RequestId, payload }).finish());
}

function scan(RequestId: number): Buffer {
  const payload = { $case: 'GetByBucket', GetByBucket: { ...NOTHING, PrefixKey: 'b' } } as const;
  return Buffer.from(Request.encode({ Type: Type.TRY_GET_BY_BUCKET, RequestId, payload }).finish());
}

test.each([
  ['values', get],
  ['buckets', scan],
])(
  'invariant 13: %s that a client asks for and does not read are refused beyond a bound, and each request is answered',
  async (_, request) => {
    const call = open();
    for (let id = 0; id < REQUESTS; id++) call.emit('data', request(id));
    for (let turns = 0; turns < 10; turns++) await new Promise(resolve => setImmediate(resolve));
    expect(call.waitingBytes).toBeLessThan(MAX_UNREAD_BYTES + VALUE_BYTES);
    await call.readAll();
    expect(call.answers.map(({ requestId }) => requestId).sort((a, b) => a - b)).toEqual(
      Array.from({ length: REQUESTS }, (__, i) => i),
    );
    const served = call.answers.filter(({ type }) => type === ResponseType.Get).length;
    expect(served * VALUE_BYTES).toBeLessThanOrEqual(MAX_UNREAD_BYTES);
    expect(served).toBeGreaterThan(80);
    expect(call.answers.filter(({ type }) => type === ResponseType.MustRetry)).toHaveLength(REQUESTS - served);
  },
);

test('a value that everybody reads waits once', async () => {
  const { value } = found();
  const call = open(() => ({ ...found(), value }));
  for (let id = 0; id < REQUESTS; id++) call.emit('data', get(id));
  await call.readAll();
  expect(call.answers.filter(({ type }) => type === ResponseType.Get)).toHaveLength(REQUESTS);
});
