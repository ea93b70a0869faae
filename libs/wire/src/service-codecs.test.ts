import { DecodeError, HLC_ZERO, type Hlc } from '@kahuna/base';
import type { OperationResult, ScanAnswer, SequenceAllocation, SequenceEntry } from '@kahuna/partition';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  EnvelopeFrames,
  EnvelopeReader,
  LOCK_ENVELOPES,
  lockBatchType,
  lockKindOf,
  MAX_BATCH_MESSAGE_BYTES,
} from './batch-codec.ts';
import * as keyValues from './generated/keyvalues.ts';
import * as locks from './generated/locks.ts';
import * as sequences from './generated/sequences.ts';
import { Identity, writeInt64 } from './key-value-codec.ts';
import {
  decodeLock,
  decodeLockResponse,
  type LockKind,
  type RequestedLock,
  writeLockRequest,
  writeLockResponse,
} from './lock-codec.ts';
import { ProtoReader } from './proto-reader.ts';
import { ReverseWriter } from './reverse-writer.ts';
import {
  decodeBucketScan,
  decodeHold,
  decodePrefixScan,
  decodeRangeScan,
  scanRowBytes,
  writeBucketResponse,
  writeHoldResponse,
  writePrefixResponse,
  writeRangePage,
  writeRangeResponse,
} from './scan-codec.ts';
import { decodeSequence, writeSequenceResponse } from './sequence-codec.ts';

/** The generated code is the reference: what one side writes, the other reads. */

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function readerOf(bytes: Uint8Array): ProtoReader {
  const reader = new ProtoReader();
  reader.reset(bytes, 0, bytes.length);
  return reader;
}

function written(write: (writer: ReverseWriter) => void): Uint8Array {
  const writer = new ReverseWriter(64);
  const start = writer.mark;
  write(writer);
  return writer.since(start).slice();
}

const wellFormed = fc.string({ unit: 'binary', maxLength: 24 }).filter(text => !/\p{Surrogate}/u.test(text));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const safe = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 40 });
const durability = fc.constantFrom(0, 1, 5);
const hlc: fc.Arbitrary<Hlc> = fc.record({
  n: fc.integer({ min: 0, max: 1000 }),
  l: fc.integer({ min: 0, max: 2 ** 45 }),
  c: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

function result(fields: Partial<OperationResult>): OperationResult {
  const none = { type: 0, revision: 0, value: null, expires: HLC_ZERO, lastUsed: HLC_ZERO, lastModified: HLC_ZERO, state: 0 };
  return { ...none, route: undefined, ...fields };
}

describe('locks', () => {
  const kinds: readonly LockKind[] = ['lock-acquire', 'lock-extend', 'lock-release', 'lock-info'];

  test('requests of the generated code read as they were meant', () => {
    fc.assert(
      fc.property(wellFormed, bytes, int32, durability, (Resource, Owner, ExpiresMs, Durability) => {
        const lease = { Resource, Owner, ExpiresMs, Durability: Durability as locks.GrpcLockDurability };
        const expected = { key: Resource, owner: Owner, expiresMs: ExpiresMs, durability: Durability };
        const acquire = locks.GrpcTryLockRequest.encode(lease).finish();
        expect(decodeLock(readerOf(acquire), 'lock-acquire')).toEqual({ kind: 'lock-acquire', ...expected });
        const extend = locks.GrpcExtendLockRequest.encode(lease).finish();
        expect(decodeLock(readerOf(extend), 'lock-extend')).toEqual({ kind: 'lock-extend', ...expected });
        const release = locks.GrpcUnlockRequest.encode(lease).finish();
        expect(decodeLock(readerOf(release), 'lock-release')).toEqual({ kind: 'lock-release', ...expected, expiresMs: 0 });
        const info = locks.GrpcGetLockRequest.encode({ Resource, durability: lease.Durability }).finish();
        const asked = { kind: 'lock-info', ...expected, owner: new Uint8Array(0), expiresMs: 0 };
        expect(decodeLock(readerOf(info), 'lock-info')).toEqual(asked);
      }),
    );
  });

  test('our own requests come back', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), wellFormed, bytes, int32, durability, (kind, key, owner, expiresMs, durability) => {
        const isLease = kind === 'lock-acquire' || kind === 'lock-extend';
        const request: RequestedLock = {
          kind,
          key,
          owner: kind === 'lock-info' ? new Uint8Array(0) : owner,
          expiresMs: isLease ? expiresMs : 0,
          durability,
        };
        expect(decodeLock(readerOf(written(writer => writeLockRequest(writer, request))), kind)).toEqual(request);
      }),
    );
  });

  test('an owner outlives the message it came in', () => {
    const message = Buffer.from(
      locks.GrpcTryLockRequest.encode({ Resource: 'r', Owner: hex('0102'), ExpiresMs: 1, Durability: 1 }).finish(),
    );
    const { owner } = decodeLock(readerOf(message), 'lock-acquire');
    message.fill(0);
    expect(owner).toEqual(hex('0102'));
  });

  test('answers are what the generated code and our own reader expect', () => {
    const message = {
      'lock-acquire': locks.GrpcTryLockResponse,
      'lock-extend': locks.GrpcExtendLockResponse,
      'lock-release': locks.GrpcUnlockResponse,
      'lock-info': locks.GrpcGetLockResponse,
    } as const;
    const hint = hex('0803');
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.constantFrom(0, 1, 2, 3, 4, 99, 100, 101, 102, 103),
        fc.nat(Number.MAX_SAFE_INTEGER),
        fc.option(bytes),
        hlc,
        fc.boolean(),
        (kind, type, revision, value, expires, hinted) => {
          const answer = result({ type, revision, value, expires });
          const encoded = written(writer => writeLockResponse(writer, kind, answer, hinted ? hint : undefined));
          const decoded = message[kind].decode(encoded);
          expect(decoded.Type).toBe(type);
          expect(decoded.Route?.PartitionId).toBe(hinted ? 3 : undefined);
          const received = decodeLockResponse(readerOf(encoded), kind);
          expect(received).toMatchObject({ type, hint: hinted ? hint : undefined });
          if ('FencingToken' in decoded) expect(decoded.FencingToken).toBe(BigInt(revision));
          expect(received.fencingToken).toBe(kind === 'lock-release' ? 0 : revision);
          if (kind !== 'lock-info') return;
          const info = locks.GrpcGetLockResponse.decode(encoded);
          expect(info.Owner).toEqual(value ?? undefined);
          expect(received.owner).toEqual(value);
          expect(received.expires).toEqual(expires);
          expect(info.ExpiresPhysical).toBe(BigInt(expires.l));
        },
      ),
    );
  });

  test('grpc §12: envelopes of the lock stream, byte for byte; an answer without content is present', () => {
    const sent = hex('08 01 10 01 1a 12 0a 07 70 72 65 73 73 2f 32 12 02 6f 31 18 88 27 20 01');
    const envelope = new EnvelopeReader(LOCK_ENVELOPES);
    envelope.reset(sent);
    expect(envelope.next()).toBe(true);
    expect([envelope.type, envelope.requestId, envelope.hasPayload]).toEqual([1, 1, true]);
    const reader = new ProtoReader();
    reader.reset(sent, envelope.payloadStart, envelope.payloadEnd);
    expect(decodeLock(reader, 'lock-acquire')).toEqual({
      kind: 'lock-acquire',
      key: 'press/2',
      owner: Uint8Array.from(Buffer.from('o1')),
      expiresMs: 5000,
      durability: 1,
    });
    expect(envelope.next()).toBe(false);
    const frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, LOCK_ENVELOPES);
    for (const type of [0, 1]) {
      const writer = frames.begin(16);
      const start = writer.mark;
      writeLockResponse(writer, 'lock-acquire', result({ type }), undefined);
      frames.end(start, lockBatchType('lock-acquire'), 1);
    }
    expect(frames.take().map(toHex)).toEqual(['080110011a00', '080110011a021001']);
  });

  test('every type of the lock stream has its member, and no other type is one', () => {
    for (const [type, kind, member] of [
      [1, 'lock-acquire', 3],
      [2, 'lock-extend', 5],
      [3, 'lock-release', 4],
      [4, 'lock-info', 6],
    ] as const) {
      expect(lockKindOf(type)).toBe(kind);
      const envelope = new EnvelopeReader(LOCK_ENVELOPES);
      envelope.reset(Uint8Array.of(8, type, (member << 3) | 2, 0));
      expect(envelope.hasPayload).toBe(true);
    }
    for (const type of [0, 5, 15, -1]) {
      expect(lockKindOf(type)).toBeUndefined();
      const envelope = new EnvelopeReader(LOCK_ENVELOPES);
      envelope.reset(written(writer => writeInt64(writer, 8, type)));
      expect([envelope.isFrame, envelope.next(), envelope.type]).toEqual([false, true, type]);
    }
  });
});

describe('sequences', () => {
  const named = { Name: wellFormed, Durability: durability as fc.Arbitrary<sequences.GrpcSequenceDurability> };

  test('requests of the generated code read as they were meant, 64-bit exact', () => {
    const create = fc.record({
      ...named,
      InitialValue: int64,
      Increment: int64,
      MaxValue: maybe(int64),
      BlockSize: maybe(int32),
    });
    fc.assert(
      fc.property(create, message => {
        const { operation, durability } = decodeSequence(
          readerOf(sequences.GrpcCreateSequenceRequest.encode(message).finish()),
          'create',
        );
        expect(durability).toBe(message.Durability);
        expect(operation).toEqual({
          kind: 'sequence-create',
          key: message.Name,
          initialValue: message.InitialValue,
          increment: message.Increment,
          maxValue: message.MaxValue,
          blockSize: message.BlockSize,
        });
      }),
    );
    const update = fc.record({
      ...named,
      CurrentValue: maybe(int64),
      Increment: maybe(int64),
      InitialValue: maybe(int64),
      MaxValue: maybe(int64),
      RemoveMaxValue: fc.boolean(),
      BlockSize: maybe(int32),
      RemoveBlockSize: fc.boolean(),
    });
    fc.assert(
      fc.property(update, message => {
        const { operation } = decodeSequence(readerOf(sequences.GrpcUpdateSequenceRequest.encode(message).finish()), 'update');
        expect(operation).toEqual({
          kind: 'sequence-update',
          key: message.Name,
          currentValue: message.CurrentValue,
          increment: message.Increment,
          initialValue: message.InitialValue,
          maxValue: message.MaxValue,
          removeMaxValue: message.RemoveMaxValue,
          blockSize: message.BlockSize,
          removeBlockSize: message.RemoveBlockSize,
        });
      }),
    );
  });

  test('next is a reserve of one; the byte example of grpc §12 reserves ten', () => {
    const next = sequences.GrpcNextSequenceRequest.encode({ Name: 'n', IdempotencyKey: 'k', Durability: 1 }).finish();
    expect(decodeSequence(readerOf(next), 'next')).toEqual({
      operation: { kind: 'sequence-reserve', key: 'n', count: 1, idempotencyKey: 'k' },
      durability: 1,
    });
    expect(decodeSequence(readerOf(hex('0a 06 6f 72 64 65 72 73 10 0a 20 01')), 'reserve')).toEqual({
      operation: { kind: 'sequence-reserve', key: 'orders', count: 10, idempotencyKey: '' },
      durability: 1,
    });
    for (const method of ['get', 'delete'] as const) {
      const request = sequences.GrpcGetSequenceRequest.encode({ Name: 'n', Durability: 1 }).finish();
      expect(decodeSequence(readerOf(request), method).operation).toEqual({ kind: `sequence-${method}`, key: 'n' });
    }
  });

  const entry: fc.Arbitrary<SequenceEntry> = fc.record({
    kind: fc.constant('sequence-entry' as const),
    name: wellFormed,
    currentValue: int64,
    initialValue: int64,
    increment: int64,
    maxValue: maybe(int64),
    blockSize: maybe(fc.nat()),
    incarnation: fc.nat(),
    revision: fc.nat(Number.MAX_SAFE_INTEGER),
    createdAt: hlc,
    updatedAt: hlc,
  });

  test('entries and allocations are what the generated code expects; absent options are absent', () => {
    fc.assert(
      fc.property(entry, detail => {
        const answer = result({ revision: detail.revision, detail });
        const decoded = sequences.GrpcSequenceResponse.decode(
          written(writer => writeSequenceResponse(writer, 'sequence-get', answer, 7, undefined)),
        );
        expect(decoded).toMatchObject({ Type: 0, Revision: BigInt(detail.revision), TimeElapsedMs: 7 });
        expect(decoded.Sequence).toMatchObject({
          Name: detail.name,
          CurrentValue: detail.currentValue,
          InitialValue: detail.initialValue,
          Increment: detail.increment,
          Revision: BigInt(detail.revision),
          Durability: 1,
          CreatedAtPhysical: BigInt(detail.createdAt.l),
          UpdatedAtCounter: detail.updatedAt.c,
          Incarnation: BigInt(detail.incarnation),
        });
        expect(decoded.Sequence?.MaxValue).toBe(detail.maxValue);
        expect(decoded.Sequence?.BlockSize).toBe(detail.blockSize);
        const created = written(writer => writeSequenceResponse(writer, 'sequence-create', answer, 0, undefined));
        expect(sequences.GrpcSequenceResponse.decode(created).Sequence).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(wellFormed, int64, int64, fc.nat(), safe, (name, start, end, count, revision) => {
        const detail: SequenceAllocation = { kind: 'sequence-allocation', name, start, end, count, revision };
        const encoded = written(writer =>
          writeSequenceResponse(writer, 'sequence-reserve', result({ revision, detail }), 3, hex('0803')),
        );
        const decoded = sequences.GrpcSequenceAllocationResponse.decode(encoded);
        expect(decoded).toMatchObject({ Type: 0, TimeElapsedMs: 3, Route: { PartitionId: 3 } });
        expect(decoded.Allocation).toEqual({ Name: name, Start: start, End: end, Count: count, Revision: BigInt(revision) });
      }),
    );
  });

  test.each([
    ['sequence-create', 2, 2, -1n],
    ['sequence-create', 100, 3, -1n],
    ['sequence-get', 1, 1, -1n],
    ['sequence-get', 101, 5, -1n],
    ['sequence-update', 99, 99, -1n],
    ['sequence-delete', 0, 0, 0n],
    ['sequence-delete', 1, 1, 0n],
  ] as const)('grpc §7.8: %s that ends in %i inside is %i outside, with revision %s', (kind, type, wire, revision) => {
    const encoded = written(writer => writeSequenceResponse(writer, kind, result({ type, revision: 9 }), 0, undefined));
    const decoded = sequences.GrpcSequenceResponse.decode(encoded);
    expect([decoded.Type, decoded.Revision, decoded.Sequence]).toEqual([wire, revision, undefined]);
  });

  test('sequences §11: a failed allocation is absent, not a message full of zeros', () => {
    for (const [type, wire] of [
      [4, 4],
      [100, 3],
      [101, 5],
    ] as const) {
      const encoded = written(writer => writeSequenceResponse(writer, 'sequence-reserve', result({ type }), 0, undefined));
      expect(sequences.GrpcSequenceAllocationResponse.decode(encoded)).toMatchObject({ Type: wire, Allocation: undefined });
    }
  });
});

describe('scans', () => {
  const transaction = {
    TransactionIdNode: 0,
    TransactionIdPhysical: 0n,
    TransactionIdCounter: 0,
    CoordinatorKey: '',
    OperationIdHigh: 0n,
    OperationIdLow: 0n,
  };
  const session = { ...transaction, TransactionIdPhysical: 5n, CoordinatorKey: 'c', OperationIdHigh: 1n };
  const stamp = { ReadTimestampNode: 1, ReadTimestampPhysical: 1_763_715_600_123n, ReadTimestampCounter: 4_294_967_295 };
  const readTimestamp = { n: 1, l: 1_763_715_600_123, c: 4_294_967_295 };

  test('bucket and prefix requests read as they were meant', () => {
    const bucket = (fields: object): Uint8Array =>
      keyValues.GrpcGetByBucketRequest.encode({
        ...transaction,
        ...stamp,
        PrefixKey: 'fleet',
        Durability: 1,
        ...fields,
      }).finish();
    const query = { kind: 'bucket', prefix: 'fleet', readTimestamp, durability: 1 };
    expect(decodeBucketScan(readerOf(bucket({})))).toEqual({ query, identity: Identity.None });
    expect(decodeBucketScan(readerOf(bucket(session)))).toEqual({ query, identity: Identity.Complete });
    const prefix = { PrefixKey: 'fle', Durability: 0, ...stamp } as const;
    expect(decodePrefixScan(readerOf(keyValues.GrpcScanAllByPrefixRequest.encode(prefix).finish())).query).toEqual({
      kind: 'prefix',
      prefix: 'fle',
      readTimestamp,
      durability: 0,
    });
  });

  test('grpc §4.1: a scan-all at node 0 and millisecond 0 is of the latest, whatever the counter says', () => {
    const request = {
      PrefixKey: 'p',
      Durability: 0,
      ReadTimestampNode: 0,
      ReadTimestampPhysical: 0n,
      ReadTimestampCounter: 9,
    } as const;
    expect(decodePrefixScan(readerOf(keyValues.GrpcScanAllByPrefixRequest.encode(request).finish())).query.readTimestamp).toEqual(
      HLC_ZERO,
    );
  });

  test('grpc §4.4: an absent bound is open, an empty one is a bound', () => {
    const range = (fields: object): Uint8Array =>
      keyValues.GrpcGetByRangeRequest.encode({
        ...transaction,
        ...stamp,
        Prefix: 'log',
        StartKey: undefined,
        StartInclusive: false,
        EndKey: undefined,
        EndInclusive: true,
        Limit: -1,
        Durability: 1,
        SnapshotAtLeader: true,
        ...fields,
      }).finish();
    const rest = { kind: 'range', prefix: 'log', limit: -1, readTimestamp, durability: 1, cursor: undefined };
    const open = { startKey: undefined, startInclusive: true, endKey: undefined, endInclusive: false };
    expect(decodeRangeScan(readerOf(range({}))).query).toEqual({ ...rest, ...open });
    expect(decodeRangeScan(readerOf(range({ StartKey: '', EndKey: '' }))).query).toEqual({
      ...rest,
      startKey: '',
      startInclusive: false,
      endKey: '',
      endInclusive: true,
    });
    expect(decodeRangeScan(readerOf(range(session))).identity).toBe(Identity.Complete);
  });

  const row = fc.record({
    key: wellFormed,
    durability: fc.constant(1 as const),
    result: fc
      .record({ revision: safe, value: fc.option(bytes), expires: hlc, lastUsed: hlc, lastModified: hlc, state: fc.constant(1) })
      .map(result),
  });
  const answer: fc.Arbitrary<ScanAnswer> = fc.record({
    type: fc.constantFrom(3, 101),
    rows: fc.array(row, { maxLength: 8 }),
    hasMore: fc.boolean(),
    nextCursor: maybe(fc.base64String()),
  });

  test('answers are what the generated code expects, rows in their order', () => {
    fc.assert(
      fc.property(answer, sent => {
        const bucket = keyValues.GrpcGetByBucketResponse.decode(written(writer => writeBucketResponse(writer, sent)));
        const all = keyValues.GrpcScanAllByPrefixResponse.decode(written(writer => writePrefixResponse(writer, sent)));
        const range = keyValues.GrpcGetByRangeResponse.decode(written(writer => writeRangeResponse(writer, sent)));
        const page = keyValues.GrpcGetByRangePageResponse.decode(written(writer => writeRangePage(writer, sent)));
        for (const decoded of [bucket, all, range, page]) {
          expect(decoded.Type).toBe(sent.type);
          expect(decoded.Items).toEqual(range.Items);
        }
        for (const decoded of [range, page]) {
          expect([decoded.HasMore, decoded.NextCursor]).toEqual([sent.hasMore, sent.nextCursor]);
        }
        expect(range.Items).toHaveLength(sent.rows.length);
        for (const [i, item] of range.Items.entries()) {
          const { key, result: r } = sent.rows[i] as ScanAnswer['rows'][number];
          expect([item.Key, item.Value, item.Revision, item.State]).toEqual([key, r.value ?? undefined, BigInt(r.revision), 1]);
          expect([item.ExpiresNode, item.ExpiresPhysical, item.ExpiresCounter]).toEqual([
            r.expires.n,
            BigInt(r.expires.l),
            r.expires.c,
          ]);
          expect(item.LastUsedPhysical).toBe(BigInt(r.lastUsed.l));
          expect(item.LastModifiedCounter).toBe(r.lastModified.c);
        }
        for (const one of sent.rows) {
          const alone = written(writer => writeBucketResponse(writer, { ...sent, rows: [one] }));
          expect(alone.length).toBeLessThanOrEqual(scanRowBytes(one));
        }
      }),
    );
  });
});

describe('snapshot holds', () => {
  test('requests of the generated code read as they were meant', () => {
    const acquire = keyValues.GrpcAcquireSnapshotHoldRequest.encode({
      HolderId: 'r7',
      TimestampNode: 0,
      TimestampPhysical: 5n,
      TimestampCounter: 4_294_967_295,
      LeaseMs: 60_000,
    }).finish();
    expect(decodeHold(readerOf(acquire), 'hold-acquire')).toEqual({
      kind: 'hold-acquire',
      holderId: 'r7',
      timestamp: { n: 0, l: 5, c: 4_294_967_295 },
      leaseMs: 60_000,
    });
    const renew = keyValues.GrpcRenewSnapshotHoldRequest.encode({ HoldId: 'h', LeaseMs: -1 }).finish();
    expect(decodeHold(readerOf(renew), 'hold-renew')).toEqual({ kind: 'hold-renew', holdId: 'h', leaseMs: -1 });
    const release = keyValues.GrpcReleaseSnapshotHoldRequest.encode({ HoldId: 'h' }).finish();
    expect(decodeHold(readerOf(release), 'hold-release')).toEqual({ kind: 'hold-release', holdId: 'h' });
    expect(decodeHold(readerOf(new Uint8Array(0)), 'hold-floor')).toEqual({ kind: 'hold-floor' });
  });

  test('answers are what the generated code expects; the floor has its type last', () => {
    const answer = {
      type: 3,
      holdId: 'abc',
      leaseExpiry: { n: 1, l: 2, c: 3 },
      effectiveFloor: { n: 4, l: 5, c: 6 },
      liveHolds: 7,
    };
    const encoded = (kind: 'hold-acquire' | 'hold-renew' | 'hold-release' | 'hold-floor'): Uint8Array =>
      written(writer => writeHoldResponse(writer, kind, answer));
    const lease = { LeaseExpiryNode: 1, LeaseExpiryPhysical: 2n, LeaseExpiryCounter: 3 };
    expect(keyValues.GrpcAcquireSnapshotHoldResponse.decode(encoded('hold-acquire'))).toEqual({
      Type: 3,
      HoldId: 'abc',
      ...lease,
    });
    expect(keyValues.GrpcRenewSnapshotHoldResponse.decode(encoded('hold-renew'))).toEqual({ Type: 3, ...lease });
    expect(keyValues.GrpcReleaseSnapshotHoldResponse.decode(encoded('hold-release'))).toEqual({ Type: 3 });
    expect(keyValues.GrpcGetSnapshotFloorResponse.decode(encoded('hold-floor'))).toEqual({
      EffectiveFloorNode: 4,
      EffectiveFloorPhysical: 5n,
      EffectiveFloorCounter: 6,
      LiveHolds: 7,
      Type: 3,
    });
  });
});

test('whatever bytes come, a reader ends or refuses; it never reads on', () => {
  const readers: readonly ((reader: ProtoReader) => unknown)[] = [
    ...(['lock-acquire', 'lock-extend', 'lock-release', 'lock-info'] as const).map(
      kind => (r: ProtoReader) => decodeLock(r, kind),
    ),
    ...(['create', 'get', 'next', 'reserve', 'update', 'delete'] as const).map(
      method => (r: ProtoReader) => decodeSequence(r, method),
    ),
    ...(['hold-acquire', 'hold-renew', 'hold-release', 'hold-floor'] as const).map(
      kind => (r: ProtoReader) => decodeHold(r, kind),
    ),
    decodeBucketScan,
    decodePrefixScan,
    decodeRangeScan,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), noise => {
      for (const read of readers) {
        const reader = readerOf(noise);
        try {
          read(reader);
          expect(reader.at).toBe(noise.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }
    }),
    { numRuns: 400 },
  );
});
