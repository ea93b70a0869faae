import { RowBatch } from '@kahuna/base';
import type { EngineRow, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '@kahuna/node';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** What a suite needs of an engine: to open it, and to open it again after the one before was closed. */
export interface EngineUnderTest {
  open(): Promise<StateEngine>;
}

type Reader = Pick<EngineSnapshot, 'getMany' | 'scan'>;

export function key(...bytes: number[]): Uint8Array {
  return Uint8Array.from(bytes);
}

export function put(k: Uint8Array, value: number | Uint8Array): EngineRow {
  return { key: k, value: typeof value === 'number' ? Uint8Array.of(value) : value };
}

export function write(engine: StateEngine, rows: EngineRow[]): Promise<void> {
  return settled(done => engine.write(RowBatch.of(rows), done));
}

export function sync(engine: StateEngine): Promise<void> {
  return settled(done => engine.sync(done));
}

export function closeEngine(engine: StateEngine): Promise<void> {
  return settled(done => engine.close(done));
}

function settled(call: (done: (error: Error | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call(error => (error === undefined ? resolve() : reject(error))));
}

export function getMany(reader: Reader, keys: Uint8Array[]): Promise<(number[] | undefined)[]> {
  return new Promise((resolve, reject) =>
    reader.getMany(keys, (error, values) => (error ? reject(error) : resolve(values.map(value => value && [...value])))),
  );
}

export function scan(reader: Reader, options: Partial<ScanOptions> = {}): Promise<ScanPage> {
  const all = { from: key(0), to: key(255, 255), maxRows: 1000, maxBytes: 1 << 20, ...options };
  return new Promise((resolve, reject) => reader.scan(all, (error, page) => (error ? reject(error) : resolve(page))));
}

export async function keysOf(reader: Reader, options: Partial<ScanOptions> = {}): Promise<number[][]> {
  return (await scan(reader, options)).rows.map(row => [...row.key]);
}

export function snapshot(engine: StateEngine): Promise<EngineSnapshot> {
  return new Promise((resolve, reject) => engine.snapshot((error, view) => (view ? resolve(view) : reject(error))));
}

/** Every implementation of the engine port passes these. */
export function engineConformance(create: () => EngineUnderTest): void {
  // Opening takes a thread and a loader; most tests are content with an engine that was emptied.
  let shared: StateEngine;
  beforeAll(async () => {
    shared = await create().open();
  });
  afterAll(() => closeEngine(shared));
  async function use(body: (engine: StateEngine) => Promise<void>): Promise<void> {
    await settled(done => shared.deleteRange({ from: key(0), to: key(255, 255, 255) }, done));
    await body(shared);
  }

  test('reads what was written, undefined for what was not, an empty value for an empty value', () =>
    use(async engine => {
      await write(engine, [put(key(1), 11), put(key(2), new Uint8Array(0))]);
      expect(await getMany(engine, [key(2), key(9), key(1), key(1)])).toEqual([[], undefined, [11], [11]]);
      expect(await getMany(engine, [])).toEqual([]);
    }));

  test('a later row of a batch wins over an earlier one, whether it puts or deletes', () =>
    use(async engine => {
      await write(engine, [put(key(1), 1), put(key(1), 2), put(key(2), 1), { key: key(2), value: undefined }]);
      await write(engine, [{ key: key(3), value: undefined }, put(key(3), 3)]);
      expect(await getMany(engine, [key(1), key(2), key(3)])).toEqual([[2], undefined, [3]]);
    }));

  test('keys compare as unsigned bytes, a prefix before its extensions', () =>
    use(async engine => {
      const ordered = [
        key(0),
        key(0, 0),
        key(0, 255),
        key(1),
        key(127),
        key(128),
        key(128, 0),
        key(128, 1),
        key(255),
        key(255, 0),
      ];
      await write(
        engine,
        [...ordered].reverse().map(k => put(k, 1)),
      );
      expect(await keysOf(engine)).toEqual(ordered.map(k => [...k]));
      expect(await keysOf(engine, { reverse: true })).toEqual(ordered.map(k => [...k]).reverse());
    }));

  test('a range includes its start and excludes its end, in both directions', () =>
    use(async engine => {
      await write(
        engine,
        [1, 2, 3, 4].map(n => put(key(n), n)),
      );
      for (const reverse of [false, true]) {
        const found = await keysOf(engine, { from: key(2), to: key(4), reverse });
        expect(found).toEqual(reverse ? [[3], [2]] : [[2], [3]]);
      }
      expect(await keysOf(engine, { from: key(2), to: key(2) })).toEqual([]);
      expect(await keysOf(engine, { from: key(3), to: key(2), reverse: true })).toEqual([]);
      expect(await keysOf(engine, { from: new Uint8Array(0), to: key(2) })).toEqual([[1]]);
    }));

  test('pages by rows, walked to the end, give every row once', () =>
    use(async engine => {
      const count = 700;
      await write(
        engine,
        Array.from({ length: count }, (_, i) => put(key(i >> 8, i & 255), i & 255)),
      );
      for (const reverse of [false, true]) {
        const seen = await walk(engine, { maxRows: 37, reverse });
        const ascending = Array.from({ length: count }, (_, i) => i);
        expect(seen).toEqual(reverse ? ascending.reverse() : ascending);
      }
    }));

  test('a page stops at its bytes, but has one row at least', () =>
    use(async engine => {
      await write(
        engine,
        [1, 2, 3, 4].map(n => put(key(n), new Uint8Array(99))),
      );
      const page = await scan(engine, { maxBytes: 250 });
      expect(page.rows.map(row => row.key[0])).toEqual([1, 2]);
      expect(page.more).toBe(true);
      expect((await scan(engine, { maxBytes: 1 })).rows).toHaveLength(1);
      expect(await walk(engine, { maxBytes: 250 })).toHaveLength(4);
    }));

  test('the last page says that nothing more follows', () =>
    use(async engine => {
      await write(engine, [put(key(1), 1), put(key(2), 2)]);
      expect(await scan(engine, { maxRows: 1 })).toMatchObject({ more: true });
      expect(await scan(engine, { maxRows: 3 })).toMatchObject({ more: false });
    }));

  test('deleteRange removes the interval and nothing else, in order with writes', () =>
    use(async engine => {
      const done = [
        write(
          engine,
          [1, 2, 3, 4].map(n => put(key(n), n)),
        ),
        settled(finish => engine.deleteRange({ from: key(2), to: key(4) }, finish)),
        write(engine, [put(key(3), 33)]),
      ];
      await Promise.all(done);
      expect(await keysOf(engine)).toEqual([[1], [3], [4]]);
      await settled(finish => engine.deleteRange({ from: key(4), to: key(4) }, finish));
      await settled(finish => engine.deleteRange({ from: key(4), to: key(1) }, finish));
      expect(await keysOf(engine)).toEqual([[1], [3], [4]]);
    }));

  test('a snapshot keeps seeing its moment, whatever is written and deleted after it', () =>
    use(async engine => {
      await write(
        engine,
        [1, 2, 3].map(n => put(key(n), n)),
      );
      const before = await snapshot(engine);
      await write(engine, [put(key(1), 99), { key: key(2), value: undefined }, put(key(4), 4)]);
      await settled(finish => engine.deleteRange({ from: key(3), to: key(4) }, finish));
      const after = await snapshot(engine);
      for (const reverse of [false, true]) {
        const rows = (await scan(before, { reverse })).rows.map(row => [row.key[0], row.value[0]]);
        const expected = [
          [1, 1],
          [2, 2],
          [3, 3],
        ];
        expect(rows).toEqual(reverse ? expected.reverse() : expected);
      }
      expect(await getMany(before, [key(1), key(2), key(4)])).toEqual([[1], [2], undefined]);
      expect(await keysOf(before, { from: key(2), to: key(3), reverse: true })).toEqual([[2]]);
      expect(await walk(before, { maxRows: 1 })).toHaveLength(3);
      expect(await getMany(after, [key(1), key(2), key(3), key(4)])).toEqual([[99], undefined, undefined, [4]]);
      expect(await getMany(engine, [key(1), key(2), key(3), key(4)])).toEqual([[99], undefined, undefined, [4]]);
      before.close();
      before.close();
      await sync(engine);
      expect(await keysOf(after)).toEqual([[1], [4]]);
      after.close();
      await expect(scan(after)).rejects.toThrow('closed');
    }));

  test('scans and snapshots show the writes issued before them, done or not, and none issued after them', () =>
    use(async engine => {
      const work: Promise<void>[] = [];
      for (let value = 1; value <= 50; value++) {
        work.push(write(engine, [put(key(1), value)]));
        const seen = (reader: Promise<ScanPage>): Promise<void> =>
          reader.then(page => void expect(page.rows.map(row => row.value[0])).toEqual([value]));
        const view = snapshot(engine);
        work.push(seen(scan(engine)));
        work.push(view.then(open => seen(scan(open)).then(() => open.close())));
      }
      await Promise.all(work);
    }));

  test('a batch is seen whole or not at all by reads that run beside it', () =>
    use(async engine => {
      const rows = (value: number): EngineRow[] => Array.from({ length: 50 }, (_, i) => put(key(i), value));
      await write(engine, rows(0));
      const work: Promise<void>[] = [];
      for (let value = 1; value <= 20; value++) {
        work.push(write(engine, rows(value)));
        work.push(scan(engine).then(page => void expect(new Set(page.rows.map(row => row.value[0])).size).toBe(1)));
      }
      await Promise.all(work);
    }));

  test('callbacks come later than the call, in order for writes', () =>
    use(async engine => {
      const order: number[] = [];
      const all = Array.from({ length: 10 }, (_, i) => write(engine, [put(key(1), i)]).then(() => order.push(i)));
      expect(order).toEqual([]);
      await Promise.all(all);
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(await getMany(engine, [key(1)])).toEqual([[9]]);
    }));

  test('the bytes handed over may be reused by the caller after the call', () =>
    use(async engine => {
      const slab = new Uint8Array([1, 2, 3, 4]);
      const done = write(engine, [{ key: slab.subarray(0, 2), value: slab.subarray(2) }]);
      slab.fill(0);
      await done;
      expect(await getMany(engine, [key(1, 2)])).toEqual([[3, 4]]);
    }));

  test('large values and keys go through', () =>
    use(async engine => {
      const value = new Uint8Array(3 << 20).fill(7);
      const long = new Uint8Array(40_000).fill(5);
      await write(engine, [put(key(1), value), put(long, 1)]);
      expect((await scan(engine, { maxRows: 1, maxBytes: 10 })).rows[0]?.value.length).toBe(value.length);
      expect(await getMany(engine, [long])).toEqual([[1]]);
    }));

  test('what was written and deleted is so after closing and opening again', async () => {
    const subject = create();
    const first = await subject.open();
    await write(first, [put(key(1), 1), put(key(2), 2), put(key(3), 3)]);
    await settled(done => first.deleteRange({ from: key(2), to: key(3) }, done));
    await sync(first);
    await write(first, [put(key(4), 4)]);
    await snapshot(first); // left open: closing the engine closes it
    await closeEngine(first);
    const second = await subject.open();
    expect(await keysOf(second)).toEqual([[1], [3], [4]]);
    await closeEngine(second);
  });

  test('a closed engine refuses', async () => {
    const engine = await create().open();
    await closeEngine(engine);
    await expect(write(engine, [put(key(1), 1)])).rejects.toThrow('closed');
    await expect(getMany(engine, [key(1)])).rejects.toThrow('closed');
    await expect(scan(engine)).rejects.toThrow('closed');
    await expect(snapshot(engine)).rejects.toThrow('closed');
    await expect(sync(engine)).rejects.toThrow('closed');
  });
}

/** Follows pages to the end as a caller does; returns the numbers that the keys spell. */
async function walk(reader: Reader, options: Partial<ScanOptions>): Promise<number[]> {
  const seen: number[] = [];
  let from = key(0);
  let to = key(255, 255);
  for (;;) {
    const page = await scan(reader, { ...options, from, to });
    for (const { key: k } of page.rows) seen.push(k.length === 1 ? (k[0] as number) : ((k[0] as number) << 8) | (k[1] as number));
    if (!page.more) return seen;
    const last = page.rows[page.rows.length - 1]?.key as Uint8Array;
    if (options.reverse) to = last;
    else from = Uint8Array.from([...last, 0]);
  }
}
