import { ByteReader, ByteWriter, DecodeError, HLC_MAX_COUNTER, HLC_ZERO } from '@kahuna/base';
import type { GetOperation, OperationResult, SequenceOperation, SetOperation } from '@kahuna/partition';
import { isWellFormed } from '@kahuna/range-router';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ForwardedOperation,
  readHeader,
  readOperation,
  readResult,
  writeClock,
  writeHeader,
  writeOperation,
  writeResult,
} from './peer-frame.ts';

const text = fc.string({ unit: 'binary', maxLength: 60 }).filter(isWellFormed);
const bytes = fc.uint8Array({ maxLength: 40 });
const int32 = fc.integer({ min: 0, max: 0x7fff_ffff });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const durability = fc.constantFrom<0 | 1>(0, 1);
const hlc = fc.oneof(fc.constant(HLC_ZERO), fc.record({ n: fc.nat(5), l: fc.integer({ min: 1, max: 2 ** 45 }), c: fc.nat() }));

const lock = fc.record({
  kind: fc.constantFrom('lock-acquire' as const, 'lock-extend' as const, 'lock-release' as const, 'lock-info' as const),
  key: text,
  owner: bytes,
  expiresMs: int32,
  durability,
});
const sequence: fc.Arbitrary<SequenceOperation> = fc.oneof(
  fc.record({
    kind: fc.constant('sequence-create' as const),
    key: text,
    initialValue: int64,
    increment: int64,
    maxValue: maybe(int64),
    blockSize: maybe(int32),
  }),
  fc.record({ kind: fc.constant('sequence-get' as const), key: text }),
  fc.record({ kind: fc.constant('sequence-reserve' as const), key: text, count: int32, idempotencyKey: text }),
  fc.record({
    kind: fc.constant('sequence-update' as const),
    key: text,
    currentValue: maybe(int64),
    increment: maybe(int64),
    initialValue: maybe(int64),
    maxValue: maybe(int64),
    removeMaxValue: fc.boolean(),
    blockSize: maybe(int32),
    removeBlockSize: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('sequence-delete' as const), key: text }),
);
const keyValue: fc.Arbitrary<ForwardedOperation> = fc.oneof(
  fc.record({
    kind: fc.constant('set' as const),
    key: text,
    value: fc.option(bytes),
    expiresMs: int32,
    flags: fc.nat(63),
    compareValue: fc.option(bytes),
    compareRevision: fc.integer(),
    durability,
  }),
  fc.record({ kind: fc.constant('delete' as const), key: text, durability }),
  fc.record({ kind: fc.constant('extend' as const), key: text, expiresMs: int32, durability }),
  fc.record({
    kind: fc.constantFrom('get' as const, 'exists' as const),
    key: text,
    revision: fc.integer({ min: -1 }),
    readTimestamp: hlc,
    durability,
  }),
);
const detail: fc.Arbitrary<OperationResult['detail']> = fc.oneof(
  fc.constant(undefined),
  fc.record({
    kind: fc.constant('sequence-allocation' as const),
    name: text,
    start: int64,
    end: int64,
    count: int32,
    revision: fc.nat(),
  }),
  fc.record({
    kind: fc.constant('sequence-entry' as const),
    name: text,
    currentValue: int64,
    initialValue: int64,
    increment: int64,
    maxValue: maybe(int64),
    blockSize: maybe(int32),
    incarnation: fc.nat(),
    revision: fc.nat(),
    createdAt: hlc,
    updatedAt: hlc,
  }),
);

function carried(operation: ForwardedOperation): ForwardedOperation {
  const writer = new ByteWriter();
  writeOperation(writer, operation);
  const reader = new ByteReader(writer.finish());
  const received = readOperation(reader);
  expect(reader.remaining).toBe(0);
  return received;
}

describe('what nodes send each other', () => {
  test('operations come back as they were, no field is dropped', () => {
    fc.assert(
      fc.property(fc.oneof(lock, sequence, keyValue), operation => {
        const writer = new ByteWriter();
        writeOperation(writer, operation);
        const reader = new ByteReader(writer.finish());
        expect(readOperation(reader)).toEqual(operation);
        expect(reader.remaining).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('a durability that there is not is damage: followers would read another one from the log than the leader evaluates', () => {
    for (const kind of ['set', 'delete', 'extend', 'get'] as const) {
      const writer = new ByteWriter();
      writer.u8({ set: 1, delete: 2, extend: 3, get: 4 }[kind]);
      writer.u8(2);
      writer.string('k');
      writer.raw(new Uint8Array(16));
      expect(() => readOperation(new ByteReader(writer.finish()))).toThrow(DecodeError);
    }
  });

  test('unknown bits of flags travel, the highest one too', () => {
    const writer = new ByteWriter();
    const set = { kind: 'set', key: 'k', value: null, expiresMs: 0, flags: -1, compareValue: null, compareRevision: 0 } as const;
    writeOperation(writer, { ...set, durability: 1 });
    const { flags } = readOperation(new ByteReader(writer.finish())) as SetOperation;
    expect(flags | 0).toBe(-1);
  });

  test.each([2 ** 52, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -(2 ** 53)])(
    'a revision that a client made up (%i) fits into a frame, and asks for as little as it did',
    revision => {
      const get = { kind: 'get', key: 'k', revision, readTimestamp: HLC_ZERO, durability: 1 } as const;
      const sent = carried(get) as GetOperation;
      if (revision < 0) expect(sent).toEqual({ ...get, revision: -1 });
      else expect(sent.revision).toBeGreaterThan(2 ** 50);
      const set = { kind: 'set', key: 'k', value: null, expiresMs: 0, flags: 32, compareValue: null, durability: 1 } as const;
      expect(carried({ ...set, compareRevision: revision })).toEqual({ ...set, compareRevision: -2 });
    },
  );

  test('results come back as they were, with their details', () => {
    const result = fc.record({
      type: fc.nat(110),
      revision: fc.integer({ min: -1 }),
      value: fc.option(bytes),
      expires: hlc,
      lastUsed: hlc,
      lastModified: hlc,
      state: fc.nat(1),
      detail,
    });
    fc.assert(
      fc.property(result, ({ detail: extra, ...fields }) => {
        const sent: OperationResult = { ...fields, route: undefined, ...(extra === undefined ? {} : { detail: extra }) };
        const writer = new ByteWriter();
        writeResult(writer, sent);
        const reader = new ByteReader(writer.finish());
        expect(readResult(reader)).toEqual(sent);
        expect(reader.remaining).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

test.each([0, 2 ** 28 - 1, 2 ** 28, HLC_MAX_COUNTER])(
  'a frame tells the clock of a node whose wall clock was set back, however far it has counted meanwhile: %d',
  c => {
    const writer = new ByteWriter();
    const header = { senderBoot: 2, receiverBoot: 3, number: 4, allegiance: 5, nodeId: 6 };
    writeClock(writer, writeHeader(writer, header), { n: 6, l: 2 ** 41, c });
    expect(readHeader(new ByteReader(writer.finish())).clock).toEqual({ n: 6, l: 2 ** 41, c });
  },
);
