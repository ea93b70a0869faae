import { BinaryReader } from '@bufbuild/protobuf/wire';
import { DecodeError, HLC_ZERO, type Hlc } from '@kahuna/base';
import type { OperationResult, ResponseType } from '@kahuna/partition';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addOperationRequest,
  addOperationResponse,
  batchTypeOf,
  EnvelopeFrames,
  EnvelopeReader,
  isOneKeyType,
  KEY_VALUE_ENVELOPES,
  MAX_BATCH_MESSAGE_BYTES,
  MAX_FRAME_BYTES,
  MAX_FRAME_ITEMS,
  type OneKeyType,
  OperationDecoder,
  ResponseDecoder,
  writeOperationResponse,
} from './batch-codec.ts';
import * as keyValues from './generated/keyvalues.ts';
import * as locks from './generated/locks.ts';
import { GrpcRouteHint } from './generated/routing.ts';
import * as sequences from './generated/sequences.ts';
import { Identity } from './key-value-codec.ts';
import { decodeManyReads, decodeManyWrites, type ManyKind, TooManyItemsError, writeManyResponse } from './many-codec.ts';
import { ProtoReader } from './proto-reader.ts';
import type { RequestedGet, RequestedOperation, RequestedSet } from './requested.ts';
import { ReverseWriter } from './reverse-writer.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface Message<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const KINDS = ['set', 'extend', 'delete', 'get', 'exists'] as const;
type Kind = (typeof KINDS)[number];

const request = {
  set: keyValues.GrpcTrySetKeyValueRequest,
  extend: keyValues.GrpcTryExtendKeyValueRequest,
  delete: keyValues.GrpcTryDeleteKeyValueRequest,
  get: keyValues.GrpcTryGetKeyValueRequest,
  exists: keyValues.GrpcTryExistsKeyValueRequest,
} as const;
const member = {
  set: 'TrySetKeyValue',
  extend: 'TryExtendKeyValue',
  delete: 'TryDeleteKeyValue',
  get: 'TryGetKeyValue',
  exists: 'TryExistsKeyValue',
} as const;

function decodeOperation(kind: Kind, bytes: Uint8Array): { operation: RequestedOperation; identity: number } {
  const decoder = new OperationDecoder();
  const operation = decoder.decode(batchTypeOf(kind), bytes, 0, bytes.length);
  return { operation, identity: decoder.extras.identity };
}

function encodeRequest(operation: RequestedOperation): Uint8Array {
  const frames = new EnvelopeFrames(Number.POSITIVE_INFINITY);
  addOperationRequest(frames, 0, operation);
  const [message] = frames.take();
  const envelope = new EnvelopeReader();
  envelope.reset(message as Uint8Array);
  envelope.next();
  return (message as Uint8Array).slice(envelope.payloadStart, envelope.payloadEnd);
}

function encodeResponse(kind: Kind, result: OperationResult, elapsedMs = 0, hint?: Uint8Array, exact?: bigint): Uint8Array {
  const writer = new ReverseWriter(64);
  const start = writer.mark;
  writeOperationResponse(writer, batchTypeOf(kind), result, elapsedMs, hint, exact);
  return writer.since(start).slice();
}

const answer = (fields: Partial<OperationResult>): OperationResult => ({
  type: 0,
  revision: 0,
  value: null,
  expires: HLC_ZERO,
  lastUsed: HLC_ZERO,
  lastModified: HLC_ZERO,
  state: 0,
  route: undefined,
  ...fields,
});

const ordersSet: RequestedSet = {
  kind: 'set',
  key: 'orders/42',
  value: null,
  expiresMs: 0,
  flags: 1,
  compareValue: null,
  compareRevision: 0,
  durability: 1,
};
const ordersGet: RequestedGet = { kind: 'get', key: 'orders/42', revision: -1, readTimestamp: HLC_ZERO, durability: 1 };
const hi = Uint8Array.from(Buffer.from('hi'));

describe('grpc:2 the byte examples of the contract', () => {
  const key = '22 09 6f 72 64 65 72 73 2f 34 32 ';
  const minusOne = 'ff ff ff ff ff ff ff ff ff 01 ';
  const requests: readonly (readonly [string, RequestedOperation, string])[] = [
    ['set null', ordersSet, `${key}40 01 50 01`],
    ['set zero bytes', { ...ordersSet, value: new Uint8Array(0) }, `${key}2a 00 40 01 50 01`],
    ['set with lifetime', { ...ordersSet, value: hi, expiresMs: 60_000 }, `${key}2a 02 68 69 40 01 48 e0 d4 03 50 01`],
    ['compare revision', { ...ordersSet, value: hi, flags: 33, compareRevision: 4 }, `${key}2a 02 68 69 38 04 40 21 50 01`],
    ['get latest', ordersGet, `${key}28 ${minusOne}30 01`],
    ['get revision 0', { ...ordersGet, revision: 0 }, `${key}30 01`],
    [
      'get as of a millisecond',
      { ...ordersGet, readTimestamp: { n: 0, l: 1_763_715_600_123, c: 4_294_967_295 } },
      `${key}28 ${minusOne}30 01 40 fb 9d 91 ad aa 33 48 ff ff ff ff 0f`,
    ],
  ];

  test.each(requests)('%s', (_name, operation, bytes) => {
    expect(toHex(encodeRequest(operation))).toBe(toHex(hex(bytes)));
    expect(decodeOperation(operation.kind, hex(bytes)).operation).toEqual(operation);
  });

  test('a set in a session', () => {
    const bytes = hex(
      `08 01 10 a0 b9 92 ad aa 33 18 07 ${key}2a 02 68 69 40 01 50 01 62 02 63 31 68 90 e4 d0 b2 87 d3 ae ee fe 01 70 01`,
    );
    const { operation, identity } = decodeOperation('set', bytes);
    expect(operation).toEqual({ ...ordersSet, value: hi });
    expect(identity).toBe(Identity.Complete);
    const decoded = keyValues.GrpcTrySetKeyValueRequest.decode(bytes);
    expect(decoded).toMatchObject({ OperationIdHigh: 0xfedcba9876543210n, OperationIdLow: 1n, CoordinatorKey: 'c1' });
    expect(toHex(keyValues.GrpcTrySetKeyValueRequest.encode(decoded).finish())).toBe(toHex(bytes));
  });

  const hint = GrpcRouteHint.encode({
    PartitionId: 3,
    Endpoint: 'https://localhost:8082',
    Provenance: 1,
    Generation: 0n,
  }).finish();
  const at: Hlc = { n: 1, l: 1_763_715_600_123, c: 0 };
  const responses: readonly (readonly [string, Kind, Partial<OperationResult>, number, Uint8Array | undefined, string])[] = [
    [
      'SET with a route',
      'set',
      { lastModified: at },
      2,
      hint,
      '20 01 28 fb 9d 91 ad aa 33 38 02 42 1c 08 03 12 16 68 74 74 70 73 3a 2f 2f 6c 6f 63 61 6c 68 6f 73 74 3a 38 30 38 32 18 01',
    ],
    ['NOTSET, never written', 'set', { type: 1, revision: -1 }, 0, undefined, `10 01 18 ${minusOne}`],
    ['GOT null', 'get', { type: 3, state: 1, lastModified: at }, 0, undefined, '10 03 58 01 60 fb 9d 91 ad aa 33 70 01'],
    [
      'GOT zero bytes',
      'get',
      { type: 3, state: 1, lastModified: at, value: new Uint8Array(0) },
      0,
      undefined,
      '10 03 1a 00 58 01 60 fb 9d 91 ad aa 33 70 01',
    ],
    ['DOES_NOT_EXIST', 'delete', { type: 103, revision: -1 }, 0, undefined, `10 67 18 ${minusOne}`],
  ];

  test.each(responses)('%s', (_name, kind, fields, elapsedMs, route, bytes) => {
    const result = answer(fields);
    expect(toHex(encodeResponse(kind, result, elapsedMs, route))).toBe(toHex(hex(bytes)));
    const { route: _, ...visible } = result;
    const decoder = new ResponseDecoder();
    const decoded = decoder.decode(batchTypeOf(kind), hex(bytes), 0, hex(bytes).length);
    expect(decoded).toEqual({ ...visible, elapsedMs, hint: route });
  });

  const getEnvelope = `08 05 10 07 2a 18 ${key}28 ${minusOne}30 01`;
  const minRequestId = '80 80 80 80 f8 ff ff ff ff 01';
  const deleteEnvelope = `08 04 10 ${minRequestId} 32 0d ${key}28 01`;
  const ordersDelete: RequestedOperation = { kind: 'delete', key: 'orders/42', durability: 1 };

  test('envelopes of requests, alone and in one frame', () => {
    const single = (requestId: number, operation: RequestedOperation): string => {
      const frames = new EnvelopeFrames(Number.POSITIVE_INFINITY);
      addOperationRequest(frames, requestId, operation);
      return toHex(frames.take()[0] as Uint8Array);
    };
    expect(single(7, ordersGet)).toBe(toHex(hex(getEnvelope)));
    expect(single(-2_147_483_648, ordersDelete)).toBe(toHex(hex(deleteEnvelope)));
    const frame = hex(`08 0f 8a 01 3e 0a 1e ${getEnvelope} 0a 1c ${deleteEnvelope}`);
    const envelopes = new EnvelopeReader();
    const decoder = new OperationDecoder();
    envelopes.reset(frame);
    const seen: unknown[] = [];
    while (envelopes.next()) {
      const { type, requestId, payloadStart, payloadEnd } = envelopes;
      if (isOneKeyType(type)) seen.push([requestId, decoder.decode(type, frame, payloadStart, payloadEnd)]);
    }
    expect(envelopes.isFrame).toBe(true);
    expect(seen).toEqual([
      [7, ordersGet],
      [-2_147_483_648, ordersDelete],
    ]);
  });

  test('a frame of more envelopes than are answered in one turn is not read on', () => {
    const items = Buffer.from('0a00'.repeat(20_000), 'hex');
    const envelopes = new EnvelopeReader();
    envelopes.reset(Buffer.concat([Buffer.of(0x08, 0x0f, 0x8a, 0x01, 0xc0, 0xb8, 0x02), items]));
    expect(items.length).toBe(0xc0 - 0x80 + ((0xb8 - 0x80) << 7) + (2 << 14));
    expect(() => {
      while (envelopes.next());
    }).toThrow(DecodeError);
    expect(envelopes.count).toBeLessThan(20_000);
  });

  test('envelopes of responses', () => {
    const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
    const missed = answer({ type: 103, revision: -1 });
    addOperationResponse(frames, batchTypeOf('delete'), -2_147_483_648, missed, 0, undefined, undefined);
    frames.addBare(0, 7);
    const [first, second] = frames.take();
    expect(toHex(first as Uint8Array)).toBe(toHex(hex(`08 04 10 ${minRequestId} 32 0d 10 67 18 ${minusOne}`)));
    expect(toHex(second as Uint8Array)).toBe('1007');
  });

  test('locks and sequences', () => {
    const reencoded = <T>(type: Message<T>, bytes: string): string => toHex(type.encode(type.decode(hex(bytes))).finish());
    const lock = '08 01 10 01 1a 12 0a 07 70 72 65 73 73 2f 32 12 02 6f 31 18 88 27 20 01';
    expect(reencoded(locks.GrpcBatchClientLockRequest, lock)).toBe(toHex(hex(lock)));
    for (const bytes of ['08 01 10 01 1a 00', '08 01 10 01 1a 02 10 01']) {
      expect(reencoded(locks.GrpcBatchClientLockResponse, bytes)).toBe(toHex(hex(bytes)));
    }
    expect(sequences.GrpcReserveSequenceRangeRequest.decode(hex('0a 06 6f 72 64 65 72 73 10 0a 20 01'))).toEqual({
      Name: 'orders',
      Count: 10,
      IdempotencyKey: undefined,
      Durability: 1,
    });
  });
});

// ---- against the generated code --------------------------------------------------------------------------------------------

const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary', maxLength: 90 }), fc.string());
const bytes = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null });
const int32 = fc.integer();
const safeInt64 = fc.oneof(fc.integer({ min: -2, max: 300 }), fc.maxSafeInteger());
const hlc = fc.oneof(fc.constant(HLC_ZERO), fc.record({ n: int32, l: safeInt64, c: fc.nat(0xffff_ffff) }));
const compareRevision = safeInt64.filter(value => Math.abs(value) !== Number.MAX_SAFE_INTEGER);
const fields = { key: text, durability: int32 };

const setOperation = fc.record({
  kind: fc.constant('set' as const),
  ...fields,
  value: bytes,
  expiresMs: int32,
  flags: int32,
  compareValue: bytes,
  compareRevision,
});
const getOperation = fc.record({
  kind: fc.constantFrom('get' as const, 'exists' as const),
  ...fields,
  revision: compareRevision,
  readTimestamp: hlc,
});
const deleteOperation = fc.record({ kind: fc.constant('delete' as const), ...fields });
const operation: fc.Arbitrary<RequestedOperation> = fc.oneof(
  setOperation,
  fc.record({ kind: fc.constant('extend' as const), ...fields, expiresMs: int32 }),
  deleteOperation,
  getOperation,
);

const result: fc.Arbitrary<OperationResult> = fc.record({
  type: fc.constantFrom<ResponseType>(0, 1, 2, 3, 4, 10, 99, 100, 101, 102, 103),
  revision: safeInt64,
  value: bytes,
  expires: hlc,
  lastUsed: hlc,
  lastModified: hlc,
  state: fc.nat(2),
  route: fc.constant(undefined),
});

type Generated = Record<string, unknown>;
type LooseMessage = Message<Generated>;

/** A generated type whose fields the test fills in by name. */
function loose(type: { decode(bytes: Uint8Array): object }): LooseMessage {
  return type as unknown as LooseMessage;
}

const triple = (name: string, t: Hlc): Generated => ({
  [`${name}Node`]: t.n,
  [`${name}Physical`]: BigInt(t.l),
  [`${name}Counter`]: t.c,
});
const present = (name: string, value: Uint8Array | null): Generated => (value === null ? {} : { [name]: value });

/** The message of the generated code that says the same. */
function generatedRequest(from: RequestedOperation): Generated {
  const common = { Key: from.key, Durability: from.durability };
  switch (from.kind) {
    case 'set':
      return {
        ...common,
        ...present('Value', from.value),
        ...present('CompareValue', from.compareValue),
        CompareRevision: BigInt(from.compareRevision),
        Flags: from.flags,
        ExpiresMs: from.expiresMs,
      };
    case 'extend':
      return { ...common, ExpiresMs: from.expiresMs };
    case 'delete':
      return common;
    case 'get':
    case 'exists':
      return { ...common, Revision: BigInt(from.revision), ...triple('ReadTimestamp', from.readTimestamp) };
  }
}

function generatedResponse(kind: Kind, from: OperationResult, elapsedMs: number): Generated {
  const common = {
    Type: from.type,
    Revision: BigInt(from.revision),
    ...triple('LastModified', from.lastModified),
    TimeElapsedMs: elapsedMs,
  };
  if (kind !== 'get' && kind !== 'exists') return common;
  const read = { ...common, ...triple('Expires', from.expires), ...triple('LastUsed', from.lastUsed), State: from.state };
  return kind === 'get' ? { ...read, ...present('Value', from.value) } : read;
}

function full(type: LooseMessage, partial: Generated): Generated {
  return { ...type.decode(new Uint8Array(0)), ...partial };
}

describe('the hand-written codec against the generated one', () => {
  test('requests: same bytes out, same operations in', () => {
    fc.assert(
      fc.property(operation, sent => {
        const type = loose(request[sent.kind]);
        const reference = type.encode(full(type, generatedRequest(sent))).finish();
        expect(toHex(encodeRequest(sent))).toBe(toHex(reference));
        expect(decodeOperation(sent.kind, reference)).toEqual({ operation: sent, identity: Identity.None });
      }),
      { numRuns: 500 },
    );
  });

  test('responses: same bytes out, same results in', () => {
    const response = {
      set: keyValues.GrpcTrySetKeyValueResponse,
      extend: keyValues.GrpcTryExtendKeyValueResponse,
      delete: keyValues.GrpcTryDeleteKeyValueResponse,
      get: keyValues.GrpcTryGetKeyValueResponse,
      exists: keyValues.GrpcTryExistsKeyValueResponse,
    };
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), result, fc.nat(100_000), (kind, sent, elapsedMs) => {
        const type = loose(response[kind]);
        const reference = type.encode(full(type, generatedResponse(kind, sent, elapsedMs))).finish();
        expect(toHex(encodeResponse(kind, sent, elapsedMs))).toBe(toHex(reference));
        const reads = kind === 'get' || kind === 'exists';
        const decoded = new ResponseDecoder().decode(batchTypeOf(kind), reference, 0, reference.length);
        expect(decoded).toMatchObject({ type: sent.type, revision: sent.revision, lastModified: sent.lastModified, elapsedMs });
        if (reads) expect(decoded).toMatchObject({ expires: sent.expires, lastUsed: sent.lastUsed, state: sent.state });
        if (kind === 'get') expect(decoded.value).toEqual(sent.value);
      }),
      { numRuns: 500 },
    );
  });

  test('frames of requests: whatever is put in comes out on the other side, within the limits', () => {
    const batch = fc.array(fc.tuple(int32, operation), { minLength: 1, maxLength: 600 });
    fc.assert(
      fc.property(batch, fc.boolean(), (sent, framing) => {
        const frames = new EnvelopeFrames(Number.POSITIVE_INFINITY, KEY_VALUE_ENVELOPES, new ReverseWriter(256));
        if (framing) frames.allowFrames();
        for (const [requestId, item] of sent) addOperationRequest(frames, requestId, item);
        const messages = frames.take();
        if (!framing) expect(messages).toHaveLength(sent.length);
        const seen: unknown[] = [];
        for (const message of messages) {
          const decoded = keyValues.GrpcBatchClientKeyValueRequest.decode(message);
          const items = decoded.payload?.$case === 'Frame' ? decoded.payload.Frame.Items : [decoded];
          expect(items.length).toBeLessThanOrEqual(MAX_FRAME_ITEMS);
          for (const single of items) seen.push([single.RequestId, single.payload?.$case]);
          if (decoded.payload?.$case === 'Frame') expect(items.length).toBeGreaterThan(1);
        }
        const expected = sent.map(([requestId, item]) => [requestId, member[item.kind]]);
        const sorted = (list: unknown[]): string[] => list.map(entry => JSON.stringify(entry)).sort();
        expect(sorted(seen)).toEqual(sorted(expected));
      }),
      { numRuns: 60 },
    );
  });

  test('the envelope reader agrees with the generated code on every request of a frame', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(int32, operation), { minLength: 2, maxLength: 20 }), sent => {
        const Items = sent.map(([RequestId, item]) => ({
          Type: batchTypeOf(item.kind),
          RequestId,
          payload: {
            $case: member[item.kind],
            [member[item.kind]]: full(loose(request[item.kind]), generatedRequest(item)),
          },
        }));
        const type = loose(keyValues.GrpcBatchClientKeyValueRequest);
        const frame = type.encode(full(type, { Type: 15, RequestId: 9, payload: { $case: 'Frame', Frame: { Items } } })).finish();
        const envelopes = new EnvelopeReader();
        const decoder = new OperationDecoder();
        const seen: unknown[] = [];
        envelopes.reset(frame);
        while (envelopes.next()) {
          expect(envelopes.hasPayload).toBe(true);
          const { requestId, payloadStart, payloadEnd } = envelopes;
          seen.push([requestId, decoder.decode(envelopes.type as OneKeyType, frame, payloadStart, payloadEnd)]);
        }
        expect(seen).toEqual(sent);
      }),
      { numRuns: 100 },
    );
  });

  test('multi-key requests', () => {
    fc.assert(
      fc.property(fc.array(setOperation, { maxLength: 20 }), fc.array(getOperation, { maxLength: 20 }), hlc, (sets, gets, at) => {
        const setMany = loose(keyValues.GrpcTrySetManyKeyValueRequest);
        const setBytes = setMany
          .encode(
            full(setMany, {
              Items: sets.map(item => full(loose(keyValues.GrpcTrySetManyKeyValueRequestItem), generatedRequest(item))),
            }),
          )
          .finish();
        expect(decodeManyWrites('set', setBytes, 0, setBytes.length, 100)).toEqual({
          items: sets,
          transactional: false,
          exactRevisions: undefined,
        });
        const getMany = loose(keyValues.GrpcTryGetManyValuesRequest);
        const Items = gets.map(item => ({ Key: item.key, Revision: BigInt(item.revision), Durability: item.durability }));
        const getBytes = getMany.encode(full(getMany, { Items, ...triple('ReadTimestamp', at) })).finish();
        expect(decodeManyReads('get', getBytes, 0, getBytes.length, 100).items).toEqual(
          gets.map(item => ({ ...item, kind: 'get', readTimestamp: at })),
        );
      }),
      { numRuns: 100 },
    );
  });

  test('multi-key responses', () => {
    const shapes: Readonly<
      Record<ManyKind, { readonly response: LooseMessage; readonly item: LooseMessage; readonly read: boolean }>
    > = {
      set: {
        response: loose(keyValues.GrpcTrySetManyKeyValueResponse),
        item: loose(keyValues.GrpcTrySetManyKeyValueResponseItem),
        read: false,
      },
      delete: {
        response: loose(keyValues.GrpcTryDeleteManyKeyValueResponse),
        item: loose(keyValues.GrpcTryDeleteManyKeyValueResponseItem),
        read: false,
      },
      get: {
        response: loose(keyValues.GrpcTryGetManyValuesResponse),
        item: loose(keyValues.GrpcTryGetManyValuesResponseItem),
        read: true,
      },
      exists: {
        response: loose(keyValues.GrpcTryExistsManyValuesResponse),
        item: loose(keyValues.GrpcTryExistsManyValuesResponseItem),
        read: true,
      },
    };
    const kinds = fc.constantFrom<ManyKind>('set', 'delete', 'get', 'exists');
    const rows = fc.array(fc.tuple(deleteOperation, result, fc.nat(2)), { maxLength: 20 });
    const hint = { PartitionId: 3, Endpoint: 'https://a:1', Provenance: 1 as const, Generation: 0n };
    const hintBytes = GrpcRouteHint.encode(hint).finish();
    fc.assert(
      fc.property(kinds, rows, fc.nat(100_000), (kind, sent, elapsedMs) => {
        const { response, item, read } = shapes[kind];
        const Items = sent.map(([from, to, RouteIndex]) => {
          const { TimeElapsedMs: _, ...columns } = generatedResponse(read ? (kind as Kind) : 'set', to, 0);
          return full(item, { ...columns, Key: from.key, Durability: from.durability, RouteIndex });
        });
        const envelope = { Items, Routes: [hint, hint], ...(read ? {} : { TimeElapsedMs: elapsedMs }) };
        const writer = new ReverseWriter(64);
        const start = writer.mark;
        const manyRequest = { items: sent.map(([from]) => from), transactional: false, exactRevisions: undefined };
        const results = sent.map(([, to]) => to);
        const routes = { hints: [hintBytes, hintBytes], indexes: sent.map(([, , index]) => index) };
        writeManyResponse(writer, kind, manyRequest, results, elapsedMs, routes);
        expect(toHex(writer.since(start))).toBe(toHex(response.encode(full(response, envelope)).finish()));
      }),
      { numRuns: 200 },
    );
  });
});

describe('what a number cannot hold, and what is no message', () => {
  const varint64 = (value: bigint): Uint8Array => {
    const writer = new ReverseWriter(16);
    const start = writer.mark;
    writer.bigInt64(value);
    return writer.since(start).slice();
  };

  test('every int64 is written as the generated code writes it, and read back exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), value => {
        const encoded = varint64(value);
        expect(new BinaryReader(encoded).int64().toString()).toBe(value.toString());
        const reader = new ProtoReader();
        reader.reset(encoded, 0, encoded.length);
        const clamped = reader.int64();
        expect(reader.exactInt64()).toBe(value);
        if (Number.isSafeInteger(Number(value))) expect(clamped).toBe(Number(value));
        else expect(Math.abs(clamped)).toBe(Number.MAX_SAFE_INTEGER);
      }),
      { numRuns: 500 },
    );
  });

  test('a compare revision beyond the safe integers becomes one that never matches', () => {
    for (const CompareRevision of [2n ** 53n, 2n ** 63n - 1n, -(2n ** 53n), -(2n ** 63n)]) {
      const type = keyValues.GrpcTrySetKeyValueRequest;
      const sent = type.encode({ ...type.decode(new Uint8Array(0)), Key: 'a', CompareRevision }).finish();
      expect(decodeOperation('set', sent).operation).toMatchObject({ compareRevision: -2 });
    }
  });

  test('grpc:11 halves of operation ids above 2^63 are seen', () => {
    const type = keyValues.GrpcTryDeleteKeyValueRequest;
    for (const OperationIdHigh of [2n ** 64n - 1n, 2n ** 64n - 2n]) {
      const sent = type.encode({ ...type.decode(new Uint8Array(0)), Key: 'a', OperationIdHigh }).finish();
      expect(decodeOperation('delete', sent).identity).toBe(Identity.OperationId);
      expect(type.decode(sent).OperationIdHigh).toBe(OperationIdHigh);
    }
  });

  test.each([
    ['an overlong sequence', 'c080'],
    ['a lone continuation byte', '80'],
    ['half a sequence', 'e282'],
    ['an encoded surrogate', 'eda080'],
    ['a code point above the last', 'f4908080'],
  ])('text with %s does not decode', (_what, sequence) => {
    const size = (sequence.length / 2).toString(16).padStart(2, '0');
    expect(() => decodeOperation('set', hex(`22${size}${sequence}`))).toThrow(DecodeError);
  });

  test('random bytes decode or throw a DecodeError, nothing else', () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.tuple(operation, fc.nat(60), fc.nat(255)).map(([from, at, byte]) => {
        const good = encodeRequest(from);
        if (good.length > 0) good[at % good.length] = byte;
        return good;
      }),
    );
    const attempt = (decode: () => unknown): void => {
      try {
        decode();
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    };
    fc.assert(
      fc.property(garbage, input => {
        for (const kind of KINDS) attempt(() => decodeOperation(kind, input));
        attempt(() => decodeManyWrites('set', input, 0, input.length, 10));
        attempt(() => decodeManyReads('get', input, 0, input.length, 10));
        attempt(() => {
          const envelopes = new EnvelopeReader();
          envelopes.reset(input);
          while (envelopes.next()) expect(envelopes.payloadEnd).toBeLessThanOrEqual(input.length);
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('a list longer than the bound is refused before it is decoded', () => {
    const items = hex('0a03220161'.repeat(11));
    expect(() => decodeManyWrites('set', items, 0, items.length, 10)).toThrow(TooManyItemsError);
    expect(decodeManyWrites('set', items, 0, items.length, 11).items).toHaveLength(11);
  });
});

describe('sizes', () => {
  const got = (valueBytes: number): OperationResult => answer({ type: 3, value: new Uint8Array(valueBytes) });
  const add = (frames: EnvelopeFrames, requestId: number, valueBytes: number): boolean =>
    addOperationResponse(frames, batchTypeOf('get'), requestId, got(valueBytes), 0, undefined, undefined);

  test('frames stay within 1 MiB; what is larger travels alone', () => {
    const sizes = fc.array(fc.oneof(fc.nat(2000), fc.nat(2_000_000)), { maxLength: 12 });
    fc.assert(
      fc.property(sizes, valueSizes => {
        const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, KEY_VALUE_ENVELOPES, new ReverseWriter(256));
        frames.allowFrames();
        for (const [i, size] of valueSizes.entries()) expect(add(frames, i, size)).toBe(true);
        let items = 0;
        for (const message of frames.take()) {
          const decoded = keyValues.GrpcBatchClientKeyValueResponse.decode(message);
          if (decoded.payload?.$case === 'Frame') {
            expect(message.length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
            items += decoded.payload.Frame.Items.length;
          } else items += 1;
        }
        expect(items).toBe(valueSizes.length);
      }),
      { numRuns: 30 },
    );
  });

  test('grpc:8 no frame has more than 256 items', () => {
    const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
    frames.allowFrames();
    for (let i = 0; i < 513; i++) add(frames, i, 10);
    const counts = frames.take().map(message => {
      const { payload } = keyValues.GrpcBatchClientKeyValueResponse.decode(message);
      return payload?.$case === 'Frame' ? payload.Frame.Items.length : 1;
    });
    expect(counts).toEqual([256, 256, 1]);
  });

  test('the largest response is exactly 4 MiB with its envelope', () => {
    const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
    add(frames, 1, 4_194_000);
    const overhead = (frames.take()[0] as Uint8Array).length - 4_194_000;
    frames.clear();
    expect(add(frames, 1, MAX_BATCH_MESSAGE_BYTES - overhead)).toBe(true);
    expect(add(frames, 2, MAX_BATCH_MESSAGE_BYTES - overhead + 1)).toBe(false);
    expect(add(frames, 3, 1)).toBe(true);
    const ids = frames.take().map(message => keyValues.GrpcBatchClientKeyValueResponse.decode(message).RequestId);
    expect(ids).toEqual([1, 3]);
  });
});
