import { ByteWriter, RowBatch } from '@kahuna/base';
import { bench, describe } from 'vitest';
import {
  type CommandBatch,
  createPartitionMachine,
  Durability,
  decodeBatch,
  encodeBatch,
  HeadCache,
  type Proposal,
} from './index.ts';

/** Cost of 64 sets of 256 bytes over 10,000 keys in memory, without log and engine: divide by 64 for one set. */
const SETS = 64;
const KEYS = 10_000;
const value = new Uint8Array(256).fill(7);
const writer = new ByteWriter(64 * 1024);
let number = 0;
let now = 1_000_000;

function nextBatch(): CommandBatch {
  now++;
  const stamp = { n: 1, l: now, c: 0 };
  const proposals = Array.from({ length: SETS }, (): Proposal => {
    number++;
    const key = `bench/${(number * 7919) % KEYS}`;
    return {
      id: { node: 1, boot: 1, number },
      receipt: stamp,
      command: {
        kind: 'set',
        key,
        value,
        expiresMs: 0,
        flags: 1,
        compareValue: null,
        compareRevision: 0,
        durability: Durability.Persistent,
      },
    };
  });
  return { stamp, level: 1, proposals };
}

const headCache = new HeadCache({ maxEntries: 50_000, maxBytes: 2 ** 28 });
const machine = createPartitionMachine({ partitionId: 2, poolSize: 1, headCache });

function apply(data: Uint8Array): void {
  const batch = decodeBatch(data);
  machine.supply(machine.needs(batch).map(key => ({ key, value: undefined })));
  machine.apply(machine.appliedIndex + 1, 1, batch);
}

const rows = new RowBatch();

describe('64 sets of 256 bytes', () => {
  bench('encode', () => {
    encodeBatch(writer, nextBatch());
  });

  bench('encode, decode and apply', () => {
    apply(encodeBatch(writer, nextBatch()));
  });

  bench('encode, decode, apply and flush', () => {
    apply(encodeBatch(writer, nextBatch()));
    rows.clear();
    const flush = machine.takeFlush(rows);
    if (flush !== undefined) machine.flushed(flush);
  });
});
