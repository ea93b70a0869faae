import { ByteWriter, type Hlc } from '@kahuna/base';
import { bench, describe } from 'vitest';
import { createPartitionMachine, Durability, HeadCache, type PartitionQuery } from './index.ts';
import { compareBytes, headKey, historyKey } from './stored-keys.ts';
import { Version, writeHead, writePast } from './version.ts';

/**
 * A whole scan of 100,000 heads with values of 256 bytes, in slices of 1,024 as a host feeds them, without the engine's own time:
 * rows per second = 100,000 × the operations per second shown. The as-of scan lies before the last set of every tenth key.
 */
const KEYS = 100_000;
const SLICE_ROWS = 1024;
const ZERO: Hlc = { n: 0, l: 0, c: 0 };
const OLD: Hlc = { n: 1, l: 1_000_000, c: 0 };
const NEW: Hlc = { n: 1, l: 2_000_000, c: 0 };

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const writer = new ByteWriter(1 << 20);
const value = new Uint8Array(256).fill(7);
const heads: Row[] = [];
const history = new Map<string, Uint8Array>();
for (let i = 0; i < KEYS; i++) {
  const key = `bench/scan/${String(i).padStart(8, '0')}`;
  const first = new Version(0, value, OLD, ZERO, true, undefined);
  const overwritten = i % 10 === 0;
  const head = overwritten ? new Version(1, value, NEW, ZERO, true, undefined) : first;
  heads.push({ key: headKey(writer, 0, key), value: encoded(() => writeHead(writer, head)) });
  if (overwritten)
    history.set(
      text(historyKey(writer, 0, key, 0)),
      encoded(() => writePast(writer, first, NEW)),
    );
}

function encoded(write: () => void): Uint8Array {
  write();
  return writer.finish();
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

const machine = createPartitionMachine({
  partitionId: 2,
  poolSize: 1,
  headCache: new HeadCache({ maxEntries: 50_000, maxBytes: 2 ** 28 }),
});

function scanAll(query: PartitionQuery): number {
  const scan = machine.openScan(query, 3_000_000);
  if (scan === undefined) throw new Error('the partition owns every key');
  let rows = 0;
  let at = 0;
  for (let need = scan.need(); need !== undefined; need = scan.need()) {
    if (need.kind === 'page') {
      while (at < heads.length && compareBytes((heads[at] as Row).key, need.from) < 0) at++;
      scan.takePage(heads.slice(at, at + SLICE_ROWS), at + SLICE_ROWS < heads.length);
    } else scan.takeRows(need.keys.map(key => ({ key, value: history.get(text(key)) })));
    rows += scan.drain().length;
  }
  return rows + scan.drain().length;
}

const query: PartitionQuery = {
  shape: { kind: 'space', keySpace: 'bench/scan', lower: undefined, upper: undefined },
  readTimestamp: ZERO,
  plain: false,
  durability: Durability.Persistent,
  maxRows: KEYS,
};

describe('100,000 rows of 256 bytes', () => {
  bench('a key space, latest', () => {
    if (scanAll(query) !== KEYS) throw new Error('rows are missing');
  });

  bench('a key space, as of a time before every tenth head', () => {
    if (scanAll({ ...query, readTimestamp: { n: 1, l: 1_500_000, c: 0 } }) !== KEYS) throw new Error('rows are missing');
  });

  bench('the 4,096 smallest of a prefix', () => {
    if (scanAll({ ...query, shape: { kind: 'prefix', prefix: 'bench' }, maxRows: 4096 }) !== 4096)
      throw new Error('rows are missing');
  });
});
