import { ByteWriter, DecodeError } from '@kahuna/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PersistentBench, set } from '../test/replica.ts';
import { decodeBatch, encodeBatch, UnknownCommandError } from './batch-codec.ts';
import { type Command, type CommandBatch, FEATURE_LEVEL, SetFlag } from './index.ts';

const writer = new ByteWriter();
const roundTrip = (batch: CommandBatch): CommandBatch => decodeBatch(encodeBatch(writer, batch).slice());

const key = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.constantFrom('\ufeffbom', 'a\0b', '😀/k'));
const bytes = fc.uint8Array({ maxLength: 40 });
const hlc = fc.record({ n: fc.nat(), l: fc.nat(2 ** 44), c: fc.nat(0xffff_ffff) });
const durability = fc.constantFrom<0 | 1>(0, 1);
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const member = fc.record({
  endpoint: text,
  nodeId: fc.nat(),
  name: text,
  storageId: fc.maxSafeNat(),
  clientUrl: text,
  consoleUrl: text,
});

const command: fc.Arbitrary<Command> = fc.oneof(
  fc
    .record({
      key,
      value: fc.option(bytes),
      expiresMs: fc.integer({ min: -5, max: 2 ** 31 - 1 }),
      flags: fc.nat(63),
      compareValue: fc.option(bytes),
      compareRevision: fc.integer({ min: -(2 ** 40), max: 2 ** 50 }),
      durability,
    })
    .map(({ compareValue, compareRevision, ...rest }) => ({
      kind: 'set' as const,
      ...rest,
      compareValue: (rest.flags & SetFlag.IfEqualToValue) !== 0 ? compareValue : null,
      compareRevision: (rest.flags & SetFlag.IfEqualToRevision) !== 0 ? compareRevision : 0,
      // Bit 1 says nothing and is not kept.
      flags: rest.flags & ~SetFlag.Set,
    })),
  fc.record({ key, durability }).map(fields => ({ kind: 'delete' as const, ...fields })),
  fc.record({ key, durability, expiresMs: fc.integer() }).map(fields => ({ kind: 'extend' as const, ...fields })),
  fc
    .record({ clusterId: text, poolSize: fc.nat(), members: fc.array(member, { maxLength: 4 }) })
    .map(fields => ({ kind: 'found-cluster' as const, ...fields })),
  fc
    .record({ endpoint: text, name: text, clientUrl: text, consoleUrl: text })
    .map(fields => ({ kind: 'describe-member' as const, ...fields })),
  fc.constant({ kind: 'found-range-map' as const }),
);

const batch: fc.Arbitrary<CommandBatch> = fc.record({
  stamp: hlc,
  level: fc.nat(FEATURE_LEVEL),
  proposals: fc.array(
    fc.record({ id: fc.record({ node: fc.nat(), boot: fc.maxSafeNat(), number: fc.maxSafeNat() }), receipt: hlc, command }),
    { maxLength: 5 },
  ),
});

describe('batch codec', () => {
  test('a batch comes back as it was', () => {
    fc.assert(
      fc.property(batch, original => {
        expect(roundTrip(original)).toEqual(original);
      }),
      { numRuns: 400 },
    );
  });

  test('a later format, level or kind stops the node instead of being skipped', () => {
    const good = encodeBatch(writer, { stamp: { n: 1, l: 1, c: 1 }, level: 1, proposals: [] }).slice();
    expect(() => decodeBatch(Uint8Array.of(99, ...good.slice(1)))).toThrow(UnknownCommandError);
    expect(() => decodeBatch(Uint8Array.of(good[0] as number, FEATURE_LEVEL + 1, ...good.slice(2)))).toThrow(UnknownCommandError);
    const one = encodeBatch(writer, {
      stamp: { n: 1, l: 1, c: 1 },
      level: 1,
      proposals: [{ id: { node: 1, boot: 1, number: 1 }, receipt: { n: 1, l: 1, c: 1 }, command: { kind: 'found-range-map' } }],
    }).slice();
    one[one.length - 1] = 200;
    expect(() => decodeBatch(one)).toThrow(UnknownCommandError);
  });

  test('garbage and truncation are errors of the input, never of the process', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }),
          batch.map(b => encodeBatch(writer, b).slice(0, -1)),
        ),
        data => {
          try {
            decodeBatch(data);
          } catch (error) {
            expect(error instanceof DecodeError || error instanceof UnknownCommandError).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a claimed count is not believed beyond the bytes there are', () => {
    const claim = new ByteWriter();
    for (const value of [1, 1, 1, 1, 1]) claim.varint(value);
    claim.varint(2 ** 40);
    expect(() => decodeBatch(claim.finish())).toThrow(DecodeError);
  });

  test('a command that slipped past the gateway has the same answer before and after the log', () => {
    const bench = new PersistentBench();
    const [fromLog] = bench.runAll([set('half\ud800', 'x')]);
    const { machine } = new PersistentBench().replica;
    const direct: CommandBatch = {
      stamp: { n: 7, l: 1_000_000, c: 0 },
      level: 1,
      proposals: [{ id: { node: 1, boot: 1, number: 0 }, receipt: { n: 7, l: 1, c: 0 }, command: set('half\ud800', 'x') }],
    };
    expect(machine.apply(1, 1, direct)).toEqual([fromLog]);
    expect(machine.checksum).toBe(bench.replica.machine.checksum);
  });
});
