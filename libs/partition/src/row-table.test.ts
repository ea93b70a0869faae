import { RowBatch } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { HeadCache } from './head-cache.ts';
import { LOCK_ROWS, type Lock } from './locks.ts';
import { RowTable } from './row-table.ts';
import type { StoredKey } from './rows.ts';
import { nameInterval } from './stored-keys.ts';

const lock = (token: number): Lock => ({ owner: undefined, expires: { n: 0, l: 0, c: 0 }, term: 0, token, lapsed: false });

function tableOf(maxEntries: number): { table: RowTable<Lock>; cache: HeadCache } {
  const cache = new HeadCache({ maxEntries, maxBytes: 2 ** 24 });
  return { table: new RowTable(LOCK_ROWS, 0, cache), cache };
}

/** Gives the row this state, as a command would. */
function write(table: RowTable<Lock>, name: string, state: Lock): void {
  const key = table.pin(name);
  if (key !== undefined) table.supply({ key, value: undefined });
  table.changed(table.look(name), state);
  table.unpin();
}

/** Everything that may be evicted goes: looked at twice, without use in between. */
function crowdOut(table: RowTable<Lock>, cache: HeadCache): void {
  for (let i = 0; i < 20; i++) {
    const { asked } = table.look(`x${i}`);
    if (asked !== undefined) table.supply({ key: asked, value: undefined });
  }
  for (let i = 0; i < 3; i++) cache.shrink(0);
}

describe('rows in front of the engine', () => {
  test('a row that arrives under the key of an earlier question is older than what was written since', () => {
    const { table, cache } = tableOf(1);
    const early = table.look('a').asked as StoredKey;
    // The state is replaced while the engine is asked; the row is asked for again, and written.
    table.forget();
    expect(table.get('a') === undefined).toBe(true);
    write(table, 'a', lock(7));
    const rows = new RowBatch();
    table.takeFlush(rows);
    table.flushed();
    crowdOut(table, cache);
    const late = table.look('a');
    expect(late.asked).toBeDefined();
    table.supply({ key: early, value: undefined });
    expect(late.asked).toBeDefined();
    table.supply({ key: late.asked as StoredKey, value: rows.toArray()[0]?.value });
    expect(late.state).toEqual(lock(7));
  });

  test('reads of more names than the cache has room for come to an end, though their rows arrive together', () => {
    const { table, cache } = tableOf(4);
    const asked = Array.from({ length: 64 }, (_, i) => {
      const { asked: key } = table.look(`n${i}`);
      cache.shrink(0);
      return key as StoredKey;
    });
    for (const [i, key] of asked.entries()) {
      table.supply({ key, value: undefined });
      // In the same turn the reader looks.
      expect(table.look(`n${i}`).asked).toBeUndefined();
      cache.shrink(0);
    }
    expect(cache.entries).toBeLessThan(64);
  });

  test('P4: what the engine does not have yet is not evicted', () => {
    const { table, cache } = tableOf(1);
    write(table, 'dirty', lock(1));
    const crowd = (): void => crowdOut(table, cache);
    crowd();
    expect(table.get('dirty')?.state).toEqual(lock(1));
    const rows = new RowBatch();
    table.takeFlush(rows);
    crowd();
    expect(table.get('dirty')?.state).toEqual(lock(1));
    // Written again while the flush is under way: it stays for the next one.
    write(table, 'dirty', lock(2));
    table.flushed();
    crowd();
    expect(table.get('dirty')?.state).toEqual(lock(2));
    table.takeFlush(rows);
    expect(rows.toArray().map(row => LOCK_ROWS.decode(row.value as Uint8Array).token)).toEqual([1, 2]);
    table.flushed();
    crowd();
    expect(table.get('dirty') === undefined).toBe(true);
  });

  test('intervals of names hold those with the prefix, after the name', () => {
    const { table } = tableOf(1000);
    const names = ['', 'a', 'a\0', 'a\0b', 'a/b', 'aÿ', 'a\uffff', 'a😀', 'b', 'ba'];
    const keys = new Map(names.map(name => [name, Buffer.from(table.look(name).asked as StoredKey)]));
    for (const prefix of names) {
      for (const after of [undefined, ...names]) {
        const { from, to } = nameInterval(LOCK_ROWS.family, 0, prefix, after);
        const inside = names.filter(name => {
          const key = keys.get(name) as Buffer;
          return key.compare(from) >= 0 && key.compare(to) < 0;
        });
        expect(inside).toEqual(names.filter(name => name.startsWith(prefix) && (after === undefined || name > after)));
      }
    }
  });
});
