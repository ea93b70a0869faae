import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineRow, StateEngine } from '@kahuna/node';
import { expect, test } from 'vitest';
import { closeEngine, key, put, scan, snapshot, sync, write } from './engine-conformance.ts';

/** What a suite of a failing disk needs of an engine that keeps its rows there. */
export interface DiskEngineUnderTest {
  readonly kind: 'rocksdb' | 'sqlite';
  open(directory: string): Promise<StateEngine>;
  /** The file that holds the rows of an engine that was closed, opened and closed again. */
  rowsFile(directory: string): string;
  /** The engine's own journal, while it is open and small. */
  journalFile(directory: string): string;
}

const EVERYTHING = { maxRows: 1e6, maxBytes: 1e9 };
const BATCHES = 60;
const ROWS_PER_BATCH = 3;

/** Batch `number`: rows that only together make sense. Values do not compress, so that they stand in the files as they are. */
function batch(number: number, valueBytes = 700): EngineRow[] {
  const value = Uint8Array.from({ length: valueBytes }, (_, i) => (number * 131 + i * i * 7 + (i >> 3) * number) & 255);
  return Array.from({ length: ROWS_PER_BATCH }, (_, i) => put(key(i + 1, number >> 8, number & 255), value));
}

/** The numbers of the batches that are there. Throws if one is there in part, or a row is not as it was written. */
async function batchesOf(engine: StateEngine, valueBytes?: number): Promise<number[]> {
  const { rows } = await scan(engine, EVERYTHING);
  const numbers = rows.slice(0, rows.length / ROWS_PER_BATCH).map(row => ((row.key[1] as number) << 8) | (row.key[2] as number));
  const expected = Array.from({ length: ROWS_PER_BATCH }, (_, i) =>
    numbers.map(number => batch(number, valueBytes)[i] as EngineRow),
  );
  const hex = (row: { key: Uint8Array; value: Uint8Array | undefined }): string =>
    `${Buffer.from(row.key).toString('hex')} ${Buffer.from(row.value ?? []).toString('hex')}`;
  expect(rows.map(hex)).toEqual(expected.flat().map(hex));
  return numbers;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/**
 * What engines with files promise when their disk does not keep its promises. (The memory engine promises nothing over a restart: see
 * `engine-faults.test.ts`.)
 *
 * A sync that the disk refuses is not among these cases. Both libraries open and sync their files by themselves, and neither binding lets one
 * put a failing file in their place; what the node does when `sync` reports an error is tested with the simulated engine.
 */
export function engineFaults(subject: DiskEngineUnderTest, newDirectory: () => string): void {
  /** Never changed by a test, but copied. */
  let intact: Promise<string> | undefined;
  async function closedWithBatches(): Promise<string> {
    const directory = newDirectory();
    const engine = await subject.open(directory);
    for (const number of upTo(BATCHES)) await write(engine, batch(number));
    await closeEngine(engine);
    await closeEngine(await subject.open(directory)); // moves the rows from the journal to where they stay
    return directory;
  }

  test('a damaged file is found out: by the opening or by every way of reading, and no wrong row is ever given', async () => {
    intact ??= closedWithBatches();
    const directory = await intact;
    const places = damagedPlaces(readFileSync(subject.rowsFile(directory)));
    for (const [place, at] of Object.entries(places)) {
      const copy = copyOf(directory);
      flipByte(subject.rowsFile(copy), at);
      const opened = subject.open(copy);
      const engine = await opened.catch((error: Error) => void expect(error.message, place).toMatch(DAMAGE));
      if (engine === undefined) continue;
      await expect(scan(engine, EVERYTHING), place).rejects.toThrow(DAMAGE);
      await expect(scan(engine, { ...EVERYTHING, reverse: true }), place).rejects.toThrow(DAMAGE);
      const view = await snapshot(engine);
      await expect(scan(view, EVERYTHING), place).rejects.toThrow(DAMAGE);
      await closeEngine(engine);
    }
  });

  test('a point read that meets damage gives no answer, and ends the process if it cannot report it', async () => {
    intact ??= closedWithBatches();
    const directory = copyOf(await intact);
    const file = subject.rowsFile(directory);
    flipByte(file, damagedPlaces(readFileSync(file)).value);
    const script = fileURLToPath(new URL('../test/read-child.ts', import.meta.url));
    const keys = upTo(BATCHES).map(number => Buffer.from(batch(number)[0]?.key ?? []).toString('hex'));
    const child = spawn(process.execPath, ['--import', 'tsx', script, subject.kind, directory, ...keys], { stdio: 'pipe' });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    const [code] = await once(child, 'close');
    expect(output).toBe('');
    expect(errors).toMatch(DAMAGE);
    expect(code).not.toBe(0);
  });

  test('of a torn journal whole batches are left, and all that were synced', async () => {
    const directory = newDirectory();
    const engine = await subject.open(directory);
    for (const number of upTo(BATCHES / 2)) await write(engine, batch(number));
    await sync(engine);
    const synced = statSync(subject.journalFile(directory)).size;
    for (let number = BATCHES / 2 + 1; number <= BATCHES; number++) await write(engine, batch(number));
    // Every batch has been handed to the system: a copy has what a killed process leaves behind.
    const killed = copyOf(directory);
    await closeEngine(engine);
    const full = statSync(subject.journalFile(killed)).size;
    expect(full).toBeGreaterThan(synced);
    const cuts = [full - 1, Math.floor((synced + full) / 2), synced];
    const lefts: number[] = [];
    for (const cut of cuts) {
      const copy = copyOf(killed);
      truncateSync(subject.journalFile(copy), cut);
      const left = await reopened(copy);
      expect(left).toEqual(upTo(left.length));
      lefts.push(left.length);
    }
    expect(lefts[0]).toBe(BATCHES - 1);
    expect(lefts.at(-1)).toBe(BATCHES / 2);
    expect(lefts).toEqual([...lefts].sort((a, b) => b - a));
    // Of pages that were under way any may have reached the disk.
    const holed = copyOf(killed);
    const bytes = readFileSync(subject.journalFile(holed));
    writeFileSync(subject.journalFile(holed), bytes.fill(0, synced + 5000, synced + 9096));
    const left = await reopened(holed);
    expect(left).toEqual(upTo(left.length));
    expect(left.length).toBeGreaterThanOrEqual(BATCHES / 2);
    expect(left.length).toBeLessThan(BATCHES);
  });

  test('a full disk is reported by the write or the sync that meets it; what was synced is there once there is room', async () => {
    const VALUE_BYTES = 8000;
    const { directory, unmount } = smallDisk(newDirectory());
    const kept = newDirectory();
    let written = 0;
    let synced = 0;
    let failure: Error | undefined;
    try {
      const engine = await subject.open(directory);
      try {
        while (written < 1000) {
          await write(engine, batch(written + 1, VALUE_BYTES));
          written++;
          await sync(engine);
          synced = written;
        }
      } catch (error) {
        failure = error as Error;
      }
      await expect(write(engine, batch(written + 1, VALUE_BYTES))).rejects.toThrow(FULL);
      // RocksDB has its journal still to write, and says that it did not.
      await closeEngine(engine).catch((error: Error) => void expect(error.message).toMatch(/^IO error/));
      cpSync(directory, kept, { recursive: true });
    } finally {
      unmount();
    }
    expect(failure?.message).toMatch(FULL);
    expect(synced).toBeGreaterThan(10);
    const left = await reopened(kept, VALUE_BYTES);
    expect(left).toEqual(upTo(left.length));
    expect(left.length).toBeGreaterThanOrEqual(synced);
    expect(left.length).toBeLessThanOrEqual(written + 1);
  });

  async function reopened(directory: string, valueBytes?: number): Promise<number[]> {
    const engine = await subject.open(directory);
    try {
      return await batchesOf(engine, valueBytes);
    } finally {
      await closeEngine(engine);
    }
  }

  function copyOf(directory: string): string {
    const copy = newDirectory();
    cpSync(directory, copy, { recursive: true });
    return copy;
  }
}

/** Words of the libraries, and our own for rows. */
const DAMAGE = /corrupt|damaged|malformed|not a database/i;
/** ENOSPC and EFBIG in the words of the system and of SQLite. */
const FULL = /no space left|file too large|database or disk is full|disk i\/o error/i;

/** One byte each: of the first page, of a value, of a key beside it, and of the end. */
function damagedPlaces(bytes: Buffer): { first: number; value: number; key: number; last: number } {
  const [row] = batch(BATCHES / 2) as [EngineRow];
  const value = bytes.indexOf(Buffer.from(row.value?.subarray(100, 300) ?? []));
  const marked = bytes.lastIndexOf(Buffer.from(row.key.subarray(1)), value);
  expect(Math.min(value, marked)).toBeGreaterThan(0);
  return { first: 5, value, key: marked + 1, last: bytes.length - 1 };
}

function flipByte(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] as number) ^ 0x40;
  writeFileSync(file, bytes);
}

const SMALL_DISK_BYTES = 8 * 1024 * 1024;
/** Less than the journal of either engine grows to before it begins another or the same one anew. */
const SMALL_FILE_BYTES = 640 * 1024;

/**
 * A real file system of that size where this process may mount one; elsewhere the system lets none of this process's files grow beyond the
 * other, which fails the same calls with another code (Node ignores the signal that comes with it).
 */
function smallDisk(directory: string): { directory: string; unmount(): void } {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK_BYTES}`, 'kahuna-test', directory], { stdio: 'ignore' });
    return { directory, unmount: () => void execFileSync('umount', [directory]) };
  } catch {
    const limit = (bytes: number | 'unlimited'): void =>
      void execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`], { stdio: 'ignore' });
    limit(SMALL_FILE_BYTES);
    return { directory: mkdtempSync(join(directory, 'limited-')), unmount: () => limit('unlimited') };
  }
}
