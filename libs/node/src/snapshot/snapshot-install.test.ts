import { type BatchRow, ByteReader, type RowBatch } from '@kahuna/base';
import { expect, test } from 'vitest';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '../ports.ts';
import {
  clearStaged,
  decodeMark,
  divergedKey,
  markDiverged,
  markKey,
  markStaged,
  putInPlace,
  type SnapshotHead,
  stageRows,
  unmark,
} from './snapshot-install.ts';
import { decodeRows, SnapshotSource } from './snapshot-source.ts';

type Rows = ReadonlyMap<string, string>;
type Done = (error: Error | undefined) => void;
type Change = { readonly rows: readonly BatchRow[] } | EngineRange;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/**
 * An engine that loses its power at the `limit`th call: then `keeps` of the changes since the last sync survive, in order. It answers
 * within the call, which the code under test must bear; rows of one page only, so that there are many pages.
 */
class Engine {
  calls = 0;
  dead = false;
  private durable = new Map<string, string>();
  private current = new Map<string, string>();
  private unsynced: Change[] = [];
  private readonly limit: number;
  private readonly keeps: number;

  constructor(limit = Number.POSITIVE_INFINITY, keeps = 0, rows: Rows = new Map()) {
    this.limit = limit;
    this.keeps = keeps;
    this.durable = new Map(rows);
    this.current = new Map(rows);
  }

  get port(): StateEngine {
    return this as unknown as StateEngine;
  }

  private alive(): boolean {
    if (++this.calls >= this.limit) this.dead = true;
    return !this.dead;
  }

  write(batch: RowBatch, done: Done): void {
    this.change({ rows: batch.toArray() }, done);
  }

  deleteRange(range: EngineRange, done: Done): void {
    this.change(range, done);
  }

  private change(change: Change, done: Done): void {
    if (!this.alive()) return;
    this.unsynced.push(change);
    apply(this.current, change);
    done(undefined);
  }

  sync(done: Done): void {
    if (!this.alive()) return;
    for (const change of this.unsynced.splice(0)) apply(this.durable, change);
    done(undefined);
  }

  scan({ from, to }: ScanOptions, done: (error: undefined, page: ScanPage) => void): void {
    if (!this.alive()) return;
    const rows = [...this.current].filter(([key]) => key >= hex(from) && key < hex(to)).sort(([a], [b]) => (a < b ? -1 : 1));
    const page = rows.slice(0, 1).map(([key, value]) => ({ key: bytes(key), value: bytes(value) }));
    done(undefined, { rows: page, more: rows.length > 1 });
  }

  get rows(): Rows {
    return this.current;
  }

  /** What a restart finds. */
  survivors(): Rows {
    const rows = new Map(this.durable);
    for (const change of this.unsynced.slice(0, this.keeps)) apply(rows, change);
    return rows;
  }
}

function apply(table: Map<string, string>, change: Change): void {
  if ('rows' in change) {
    for (const { key, value } of change.rows) {
      if (value === undefined) table.delete(hex(key));
      else table.set(hex(key), hex(value));
    }
    return;
  }
  for (const key of [...table.keys()]) if (key >= hex(change.from) && key < hex(change.to)) table.delete(key);
}

const PARTITION = 3;
const HEAD: SnapshotHead = {
  index: 90,
  term: 4,
  configuration: { voters: [{ replicaId: 1, nodeId: 1 }], outgoing: [], learners: [] },
};
const EXTENT: readonly EngineRange[] = [
  { from: bytes('0103'), to: bytes('0104') },
  { from: bytes('0203'), to: bytes('0204') },
];
/** The old state has rows that the new one lacks, and the reverse; other partitions have theirs. */
const OTHERS = { '0102ff': '99', '0104': '98', '0204': '97', f000000002aa: '96', [hex(markKey(PARTITION + 1))]: '95' };
const OLD: Rows = new Map(Object.entries({ '0103aa': '01', '0103bb': '02', '0203': '03', ...OTHERS }));
const NEW = { '0103': '11', '0103bb': '12', '0203ffff': '13' };
const CHUNKS = [
  [{ key: bytes('0103'), value: bytes('11') }],
  [
    { key: bytes('0103bb'), value: bytes('12') },
    { key: bytes('0203ffff'), value: bytes('13') },
  ],
];

function withOthers(rows: object): Rows {
  return new Map(Object.entries({ ...rows, ...OTHERS }));
}

function sorted(rows: Rows): [string, string][] {
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** As the receiver does it; `restartLog` stands for what the log does in between. */
function install(engine: Engine, restartLog: () => void): void {
  const { port } = engine;
  clearStaged(port, PARTITION, () => {
    stageRows(port, PARTITION, CHUNKS[0] as BatchRow[], () => {
      stageRows(port, PARTITION, CHUNKS[1] as BatchRow[], () => {
        markStaged(port, PARTITION, HEAD, () => finish(engine, restartLog));
      });
    });
  });
}

function finish(engine: Engine, restartLog: () => void): void {
  putInPlace(engine.port, PARTITION, EXTENT, () => {
    restartLog();
    unmark(engine.port, PARTITION, () => undefined);
  });
}

test('an install replaces the extent, leaves other partitions alone and nothing behind', () => {
  const engine = new Engine(undefined, 0, OLD);
  markDiverged(engine.port, PARTITION, 80, () => undefined);
  install(engine, () => undefined);
  expect(sorted(engine.rows)).toEqual(sorted(withOthers(NEW)));
});

test('what an interrupted transfer had staged does not come back with the next one', () => {
  const engine = new Engine(undefined, 0, OLD);
  stageRows(engine.port, PARTITION, [{ key: bytes('0103cc'), value: bytes('77') }], () => undefined);
  install(engine, () => undefined);
  expect(sorted(engine.rows)).toEqual(sorted(withOthers(NEW)));
});

test('S1: wherever the power fails, the state is the old one whole, or a mark says what to do and it becomes the new one whole', () => {
  const probe = new Engine(undefined, 0, OLD);
  install(probe, () => undefined);
  const outcomes = new Set<string>();
  for (let limit = 1; limit <= probe.calls; limit++) {
    for (let keeps = 0; keeps <= 6; keeps++) {
      let logRestarted = false;
      const engine = new Engine(limit, keeps, OLD);
      install(engine, () => {
        logRestarted = true;
      });
      const found = engine.survivors();
      const mark = found.get(hex(markKey(PARTITION)));
      if (mark === undefined && !logRestarted) {
        outcomes.add('old');
        const kept = new Map([...found].filter(([key]) => !key.startsWith('f000000003')));
        expect(sorted(kept)).toEqual(sorted(OLD));
        continue;
      }
      // The log begins behind the snapshot already, or the mark makes the restart go on with it.
      const second = new Engine(undefined, 0, found);
      if (mark === undefined) outcomes.add('new, the mark is gone');
      else {
        outcomes.add(logRestarted ? 'again, after the log' : 'again, before the log');
        expect(decodeMark(bytes(mark))).toEqual(HEAD);
        finish(second, () => undefined);
      }
      const kept = new Map([...second.rows].filter(([key]) => !key.startsWith('f000000003')));
      expect(sorted(kept)).toEqual(sorted(withOthers(NEW)));
    }
  }
  expect(outcomes).toEqual(new Set(['old', 'again, before the log', 'again, after the log', 'new, the mark is gone']));
});

test('that a replica has diverged is forgotten only together with the end of the install', () => {
  const key = hex(divergedKey(PARTITION));
  const before = new Map([...OLD, [key, '50']]);
  const probe = new Engine(undefined, 0, before);
  install(probe, () => undefined);
  expect(probe.rows.has(key)).toBe(false);
  for (let limit = 1; limit <= probe.calls; limit++) {
    for (let keeps = 0; keeps <= 6; keeps++) {
      let logRestarted = false;
      const engine = new Engine(limit, keeps, before);
      install(engine, () => {
        logRestarted = true;
      });
      const found = engine.survivors();
      if (!found.has(key)) expect([logRestarted, found.has(hex(markKey(PARTITION)))]).toEqual([true, false]);
    }
  }
});

// ---- the sender's side -------------------------------------------------------------------------------------------------------

function viewOf(rows: Rows, pageRows: number): EngineSnapshot {
  return {
    scan: ({ from, to, maxRows }: ScanOptions, done: (error: undefined, page: ScanPage) => void) => {
      const all = [...rows].map(([key, value]) => ({ key: bytes(key), value: bytes(value) }));
      const found = all.filter(({ key }) => hex(key) >= hex(from) && hex(key) < hex(to));
      found.sort((a, b) => (hex(a.key) < hex(b.key) ? -1 : 1));
      const count = Math.min(maxRows, pageRows);
      done(undefined, { rows: found.slice(0, count), more: found.length > count });
    },
  } as unknown as EngineSnapshot;
}

const SOURCES: [string, readonly string[]][] = [
  ['no rows at all', []],
  ['rows in the first interval only', ['0103aa', '0103bb', '0103bbcc']],
  ['rows in the last interval only', ['020300', '0203ff']],
  ['rows in both', ['0103', '0203', '0203ff']],
  ['rows of others around them', ['0102ff', '010300', '0104', '0203aa', '0204']],
];

for (const [what, keys] of SOURCES) {
  for (const pageRows of [1, 2, 100]) {
    test(`a snapshot sends each row of the extent once, in order, and then says so: ${what}, ${pageRows} at a time`, () => {
      const rows = new Map(keys.map((key, i) => [key, `0${i}`]));
      const source = new SnapshotSource(viewOf(rows, pageRows), EXTENT, 1024);
      const sent: string[] = [];
      let pieces = 0;
      for (let over = false; !over; pieces++) {
        expect(pieces).toBeLessThan(20);
        source.next((error, chunk, last) => {
          expect(error).toBeUndefined();
          for (const { key, value } of decodeRows(new ByteReader(chunk))) sent.push(`${hex(key)}=${hex(value as Uint8Array)}`);
          over = last;
        });
      }
      const inside = keys.filter(key => EXTENT.some(({ from, to }) => key >= hex(from) && key < hex(to)));
      expect(sent).toEqual(inside.map(key => `${key}=${rows.get(key)}`));
    });
  }
}

test('what the engine fails with is said, and is not taken for the end', () => {
  const failing = {
    scan: (_: ScanOptions, done: (error: Error) => void) => done(new Error('gone')),
  } as unknown as EngineSnapshot;
  let heard: [string | undefined, boolean] | undefined;
  new SnapshotSource(failing, EXTENT, 1024).next((error, _chunk, last) => {
    heard = [error?.message, last];
  });
  expect(heard).toEqual(['gone', false]);
});
