import { describe, expect, test } from 'vitest';
import {
  bytes,
  del,
  EphemeralBench,
  endOf,
  finishScan,
  LATEST,
  MemoryRows,
  PersistentBench,
  type ScanOutcome,
  set,
} from '../test/replica.ts';
import { Durability, type PartitionQuery, SetFlag, type SetOperation } from './index.ts';

type At = Partial<Pick<PartitionQuery, 'readTimestamp' | 'maxRows' | 'plain'>>;

function bucket(keySpace: string, at: At = {}): PartitionQuery {
  return between(keySpace, undefined, undefined, at);
}

/** Bounds as text: `[` and `]` are inclusive, `(` and `)` are not. */
function between(keySpace: string, lower: string | undefined, upper: string | undefined, at: At = {}): PartitionQuery {
  const bound = (text: string | undefined) => {
    if (text === undefined) return undefined;
    const inclusive = text.includes('[') || text.includes(']');
    return { key: text.replace(/[[\]()]/g, ''), inclusive };
  };
  return {
    shape: { kind: 'space', keySpace, lower: bound(lower), upper: bound(upper) },
    readTimestamp: LATEST,
    plain: false,
    durability: Durability.Persistent,
    maxRows: 4096,
    ...at,
  };
}

function prefix(text: string, at: At = {}): PartitionQuery {
  return { ...bucket('', at), shape: { kind: 'prefix', prefix: text } };
}

/** Both durabilities behind one face. */
interface Keys {
  nowMs: number;
  put(operation: SetOperation): void;
  remove(key: string): void;
  scan(query: PartitionQuery): ScanOutcome;
  settle(): void;
}

class PersistentKeys implements Keys {
  readonly bench = new PersistentBench();

  get nowMs(): number {
    return this.bench.nowMs;
  }

  set nowMs(value: number) {
    this.bench.nowMs = value;
  }

  put(operation: SetOperation): void {
    this.bench.run(operation);
  }

  remove(key: string): void {
    this.bench.run(del(key));
  }

  scan(query: PartitionQuery): ScanOutcome {
    return this.bench.replica.scan(query, this.nowMs);
  }

  settle(): void {
    this.bench.settle();
  }
}

class EphemeralKeys implements Keys {
  readonly bench = new EphemeralBench();

  get nowMs(): number {
    return this.bench.nowMs;
  }

  set nowMs(value: number) {
    this.bench.nowMs = value;
  }

  put(operation: SetOperation): void {
    this.bench.run(operation);
  }

  remove(key: string): void {
    this.bench.run(del(key));
  }

  scan(query: PartitionQuery): ScanOutcome {
    return finishScan(this.bench.table.scan({ ...query, durability: Durability.Ephemeral }, this.nowMs), new MemoryRows(), 3);
  }

  settle(): void {
    this.bench.settle();
  }
}

function keysOf(outcome: ScanOutcome): string[] {
  return outcome.rows.map(row => row.key);
}

function valuesOf(outcome: ScanOutcome): (string | null)[] {
  return outcome.rows.map(row => (row.result.value === null ? null : new TextDecoder().decode(row.result.value)));
}

for (const [name, open] of [
  ['persistent, in memory', () => new PersistentKeys()],
  ['persistent, flushed and restarted', () => settling(new PersistentKeys())],
  ['ephemeral', () => new EphemeralKeys()],
] as const) {
  describe(`${name}: what belongs to a bucket, a range, a prefix`, () => {
    test('keyvalues:B1 a bucket is exactly the keys of its key space', () => {
      const keys = open();
      for (const key of ['m', 'm2/1', 'm/sub/1']) keys.put(set(key, key));
      for (let i = 1; i <= 10; i++) keys.put(set(`m/${i}`, String(i)));
      keys.settle();
      expect(keysOf(keys.scan(bucket('m')))).toEqual(['m/1', 'm/10', 'm/2', 'm/3', 'm/4', 'm/5', 'm/6', 'm/7', 'm/8', 'm/9']);
      expect(keysOf(keys.scan(bucket('m/sub')))).toEqual(['m/sub/1']);
    });

    test('keyvalues:B2 keyvalues:G11 nothing there is no row', () => {
      expect(open().scan(bucket('void'))).toMatchObject({ rows: [], aborted: false });
    });

    test('keyvalues:K14 rows come in UTF-16 order', () => {
      const keys = open();
      for (const key of ['o/a', 'o/Z', 'o/\u{1F600}', 'o/\uE000']) keys.put(set(key, ''));
      keys.settle();
      expect(keysOf(keys.scan(bucket('o')))).toEqual(['o/Z', 'o/a', 'o/\u{1F600}', 'o/\uE000']);
      expect(keysOf(keys.scan(prefix('o')))).toEqual(['o/Z', 'o/a', 'o/\u{1F600}', 'o/\uE000']);
    });

    test('keyvalues:§3.1 the empty key space and one that ends with a slash have buckets of their own', () => {
      const keys = open();
      for (const key of ['/boot', 'fleet/', 'fleet//x', 'fleet']) keys.put(set(key, ''));
      keys.settle();
      expect(keysOf(keys.scan(bucket('')))).toEqual(['/boot']);
      expect(keysOf(keys.scan(bucket('fleet')))).toEqual(['fleet/']);
      expect(keysOf(keys.scan(bucket('fleet/')))).toEqual(['fleet//x']);
    });

    test('keyvalues:B8 a null value is a row with a null value, an empty one is empty', () => {
      const keys = open();
      keys.put(set('n/1', null));
      keys.put(set('n/2', ''));
      keys.settle();
      expect(keys.scan(bucket('n')).rows.map(row => row.result.value)).toEqual([null, bytes('')]);
    });

    test('keyvalues:X13 an expired key is not in the list', () => {
      const keys = open();
      keys.put(set('x/1', '1'));
      keys.put(set('x/2', '2', { expiresMs: 100 }));
      keys.put(set('x/3', '3'));
      keys.settle();
      const end = keys.nowMs + 100;
      keys.nowMs = end;
      expect(keysOf(keys.scan(bucket('x')))).toEqual(['x/1', 'x/2', 'x/3']);
      keys.nowMs = end + 1;
      const later = keys.scan(bucket('x'));
      expect(keysOf(later)).toEqual(['x/1', 'x/3']);
      expect(later.hiddenUntilMs).toBe(end);
    });

    test('keyvalues:B6 as of a time before a delete and a first set', () => {
      const keys = open();
      keys.put(set('m/1', 'a'));
      keys.put(set('m/2', 'b'));
      const t = endOf(keys.nowMs);
      keys.nowMs += 5;
      keys.remove('m/1');
      keys.put(set('m/3', 'c'));
      keys.put(set('m/2', 'B'));
      keys.settle();
      expect(valuesOf(keys.scan(bucket('m', { readTimestamp: t })))).toEqual(['a', 'b']);
      expect(valuesOf(keys.scan(prefix('m', { readTimestamp: t })))).toEqual(['a', 'b']);
      expect(valuesOf(keys.scan(bucket('m')))).toEqual(['B', 'c']);
    });

    test('keyvalues:B9 keyvalues:B10 a prefix is text: the key itself, its space, nested and neighbouring spaces', () => {
      const keys = open();
      for (const key of ['zone', 'zone/1', 'zone/x/2', 'zoned', 'zon', 'zo/ne']) keys.put(set(key, ''));
      keys.settle();
      expect(keysOf(keys.scan(prefix('zone')))).toEqual(['zone', 'zone/1', 'zone/x/2', 'zoned']);
      expect(keysOf(keys.scan(prefix('zone/')))).toEqual(['zone/1', 'zone/x/2']);
      expect(keysOf(keys.scan(prefix('zone/x/2')))).toEqual(['zone/x/2']);
      keys.remove('zone/1');
      expect(keysOf(keys.scan(prefix('zone')))).toEqual(['zone', 'zone/x/2', 'zoned']);
    });

    test('keyvalues:B12 of many spaces the smallest keys are kept, whatever order the spaces lie in', () => {
      const keys = open();
      const all: string[] = [];
      for (let i = 0; i < 60; i++) for (const leaf of ['', '/z', '/a/b', '/0', '/x/y/z']) all.push(`many${(i * 37) % 60}${leaf}`);
      for (const key of all) keys.put(set(key, ''));
      keys.settle();
      const sorted = [...all].sort();
      expect(keysOf(keys.scan(prefix('many')))).toEqual(sorted);
      for (const maxRows of [1, 7, 100]) {
        expect(keysOf(keys.scan(prefix('many', { maxRows })))).toEqual(sorted.slice(0, maxRows));
      }
    });

    test('keyvalues:G2 keyvalues:G3 keyvalues:G4 keyvalues:G12 bounds', () => {
      const keys = open();
      for (const key of ['log/001', 'log/002', 'log/003', 'log/004', 'log/005', 'log/a/1', 'logs/1', 'log'])
        keys.put(set(key, ''));
      keys.settle();
      expect(keysOf(keys.scan(between('log', '(log/002', 'log/004]')))).toEqual(['log/003', 'log/004']);
      expect(keysOf(keys.scan(between('log', '[log/002', 'log/004)')))).toEqual(['log/002', 'log/003']);
      expect(keysOf(keys.scan(between('log', '[log/004', 'log/002]')))).toEqual([]);
      expect(keysOf(keys.scan(between('log', '[log/002', 'log/002)')))).toEqual([]);
      expect(keysOf(keys.scan(between('log', '[log/002', 'log/002]')))).toEqual(['log/002']);
      expect(keysOf(keys.scan(between('log', '[log/004/x', 'z]')))).toEqual(['log/005']);
      expect(keysOf(keys.scan(between('log', '[a', 'log/001/z]')))).toEqual(['log/001']);
      expect(keysOf(keys.scan(between('log', '[logs', undefined)))).toEqual([]);
      expect(keysOf(keys.scan(between('log', undefined, 'log]')))).toEqual([]);
    });

    test('keyvalues:H5 keyvalues:§6.5 a superseded NOREV version shows nothing and nothing older', () => {
      const keys = open();
      keys.put(set('r/3', 'A'));
      keys.nowMs += 2;
      keys.put(set('r/3', 'B', { flags: SetFlag.NoRevision }));
      const t = endOf(keys.nowMs);
      keys.nowMs += 2;
      expect(valuesOf(keys.scan(bucket('r', { readTimestamp: t })))).toEqual(['B']);
      keys.put(set('r/3', 'C'));
      keys.settle();
      expect(keysOf(keys.scan(bucket('r', { readTimestamp: t })))).toEqual([]);
      expect(valuesOf(keys.scan(bucket('r', { readTimestamp: endOf(t.l - 1) })))).toEqual(['A']);
    });
  });
}

/** Brings every write out of memory at once, so that scans see the engine alone. */
function settling(keys: PersistentKeys): Keys {
  const { put, remove } = keys;
  keys.put = operation => {
    put.call(keys, operation);
    keys.bench.replica.flush();
  };
  keys.remove = key => {
    remove.call(keys, key);
    keys.settle();
  };
  return keys;
}

describe('a persistent scan', () => {
  test('keyvalues:§11 shows the instant at which it began, though writes and flushes pass before it reads', () => {
    const bench = new PersistentBench();
    for (let i = 0; i < 20; i++) bench.run(set(`b/${i}`, `old ${i}`));
    bench.replica.flush();
    for (let i = 0; i < 20; i += 3) bench.run(set(`b/${i}`, `new ${i}`));
    bench.replica.beginFlush();
    for (let i = 0; i < 20; i += 5) bench.run(set(`b/${i}`, `newer ${i}`, { flags: SetFlag.NoRevision }));
    const expected = Array.from({ length: 20 }, (_, i) => `${i % 5 === 0 ? 'newer' : i % 3 === 0 ? 'new' : 'old'} ${i}`).sort();
    const finish = bench.replica.beginScan(bucket('b'), bench.nowMs);
    bench.replica.endFlush();
    for (let i = 0; i < 20; i++) bench.run(i % 2 === 0 ? del(`b/${i}`) : set(`b/${i}`, 'too late'));
    bench.replica.flush();
    expect(valuesOf(finish()).sort()).toEqual(expected);
  });

  test('as of a time it searches long histories of many keys', () => {
    const bench = new PersistentBench();
    const keys = Array.from({ length: 400 }, (_, i) => `h/${String(i).padStart(3, '0')}`);
    for (let round = 0; round < 40; round++) {
      bench.nowMs += 10;
      bench.runAll(keys.filter((_, i) => i % 7 <= round % 7).map(key => set(key, `${key} ${round}`)));
      if (round % 5 === 0) bench.replica.flush();
    }
    for (const round of [0, 3, 17, 39]) {
      const t = endOf(1_000_000 + 10 * (round + 1));
      const shown = bench.replica.scan(bucket('h', { readTimestamp: t }), bench.nowMs, 64);
      const expected = keys.flatMap((key, i) => {
        for (let r = round; r >= 0; r--) if (i % 7 <= r % 7) return [`${key} ${r}`];
        return [];
      });
      expect(valuesOf(shown)).toEqual(expected);
    }
  });
});

describe('an ephemeral scan', () => {
  test('keyvalues:H25 keyvalues:§13 is aborted where the sixteen kept revisions do not reach', () => {
    const keys = new EphemeralKeys();
    keys.put(set('e/1', 'first'));
    const early = endOf(keys.nowMs);
    for (let i = 0; i < 20; i++) {
      keys.nowMs += 1;
      keys.put(set('e/2', String(i)));
    }
    expect(keys.scan(bucket('e', { readTimestamp: endOf(early.l + 3) }))).toMatchObject({ rows: [], aborted: true });
    expect(keysOf(keys.scan(between('e', undefined, 'e/2)', { readTimestamp: endOf(early.l + 3) })))).toEqual(['e/1']);
    expect(valuesOf(keys.scan(bucket('e', { readTimestamp: endOf(keys.nowMs - 15) })))).toEqual(['first', '4']);
    expect(valuesOf(keys.scan(bucket('e')))).toEqual(['first', '19']);
  });
});

describe('where a scan stands', () => {
  test('keyvalues:§13 everything up to its position was looked at, so that a page of dead keys can end short', () => {
    const bench = new PersistentBench();
    const keys = Array.from({ length: 12 }, (_, i) => `s/${String(i).padStart(2, '0')}`);
    for (const key of keys) bench.run(set(key, 'x'));
    for (const key of keys.slice(0, 10)) bench.run(del(key));
    bench.settle();
    bench.run(set('s/03b', 'in memory'));
    const scan = bench.replica.machine.openScan(bucket('s'), bench.nowMs);
    const seen: string[] = [];
    for (let need = scan?.need(); scan !== undefined && need !== undefined; need = scan.need()) {
      if (need.kind !== 'page') throw new Error('the latest state needs no history');
      const page = bench.replica.engine.page(need.from, need.to, 2);
      scan.takePage(page.rows, page.more);
      seen.push(...scan.drain().map(row => row.key));
      const { position } = scan;
      if (position === undefined) throw new Error('a page was looked at');
      const rest = bench.replica.scan(
        { ...bucket('s'), shape: { kind: 'space', keySpace: 's', lower: { key: position, inclusive: false }, upper: undefined } },
        bench.nowMs,
      );
      expect([...seen, ...keysOf(rest)]).toEqual(['s/03b', 's/10', 's/11']);
    }
    expect(scan?.looked).toBe(13);
  });

  test('the names of spaces are found by seeking past each of them', () => {
    const bench = new PersistentBench();
    for (let i = 0; i < 40; i++) bench.run(set(`many/${i}`, ''));
    for (const key of ['a', 'a/1', 'many/sub/1', 'z\u0000/1']) bench.run(set(key, ''));
    bench.settle();
    bench.run(set('new/1', ''));
    bench.run(del('a'));
    const names = (prefix: string, after?: string, maxRows = 10) => {
      const outcome = bench.replica.scan({ ...bucket(''), shape: { kind: 'spaces', prefix, after }, maxRows }, bench.nowMs, 4);
      return outcome.rows.map(({ key, result }) => `${key} ${result.revision}${result.state === 1 ? '+' : ''}`);
    };
    expect(names('')).toEqual(['a 2', 'many 2+', 'many/sub 1', 'new 1', 'z\u0000 1']);
    expect(names('many')).toEqual(['many 4+', 'many/sub 1']);
    expect(names('', 'many')).toEqual(['many/sub 1', 'new 1', 'z\u0000 1']);
    expect(names('', undefined, 2)).toHaveLength(2);
    expect(names('zz')).toEqual([]);
  });
});
