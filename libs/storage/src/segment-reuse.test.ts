import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogStore } from '@kahuna/node';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { openFileLog } from './file-log.ts';
import { append, close, entry, record, recover, startAt } from './log-conformance.ts';
import { recoverFiles } from './log-recovery.ts';
import { createSegment, segmentPath } from './segment-files.ts';
import { PAGE_BYTES } from './segment-format.ts';

/*
 * Segments are given up from the oldest on, whichever way: recovery finds a hole in the numbers of the writes where a younger one is
 * gone and an older one still there, and takes it for damage.
 */

const root = fs.mkdtempSync(join(tmpdir(), 'kahuna-reuse-'));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

const SEGMENT_BYTES = 64 * 1024;
const ENTRY_BYTES = 20_000;

function newDirectory(): string {
  return fs.mkdtempSync(join(root, 'log-'));
}

function copyOf(directory: string): string {
  const copy = newDirectory();
  for (const name of fs.readdirSync(directory)) fs.copyFileSync(join(directory, name), join(copy, name));
  return copy;
}

/** One group whose entries come one after the other. */
class Log {
  readonly directory = newDirectory();
  last = 0;
  private store: LogStore | undefined;

  async open(): Promise<void> {
    this.store = openFileLog({ directory: this.directory, segmentBytes: SEGMENT_BYTES });
    await recover(this.store);
  }

  append(): Promise<void> {
    const data = new Uint8Array(ENTRY_BYTES);
    return append(this.store as LogStore, [record(1, { entries: [entry(++this.last, 1, data)] })]);
  }

  async compact(): Promise<void> {
    await append(this.store as LogStore, [record(1, { start: startAt(this.last, 1) })]);
    this.store?.release(new Map());
  }

  close(): Promise<void> {
    return close(this.store as LogStore);
  }
}

test('a segment that could not be renamed to be used again is the next one that is, not one left behind', async () => {
  const { rename } = fs.promises;
  let refused = 0;
  vi.spyOn(fs.promises, 'rename').mockImplementation(async (from, to) => {
    const isReuse = String(to).endsWith('preparing.tmp');
    if (isReuse && refused++ === 0) throw Object.assign(new Error('EIO: ordered by a test, rename'), { code: 'EIO' });
    await rename(from, to);
  });
  const log = new Log();
  await log.open();
  for (let i = 0; i < 60; i++) {
    await log.append();
    if (i % 5 === 4) await log.compact();
  }
  await log.close();
  expect(refused).toBeGreaterThan(2);
  const { groups } = (await recoverFiles(log.directory)).log;
  expect(groups[0]?.start.index).toBe(log.last);
});

test('while an old segment is being removed, no younger one is used again', async () => {
  const { rename, unlink } = fs.promises;
  const log = new Log();
  const crashes: string[] = [];
  const appends: Promise<void>[] = [];
  let reused = 0;
  vi.spyOn(fs.promises, 'rename').mockImplementation(async (from, to) => {
    await rename(from, to);
    if (String(to).endsWith('preparing.tmp')) reused++;
  });
  vi.spyOn(fs.promises, 'unlink').mockImplementation(async path => {
    const before = reused;
    // Writes that need a further segment, which is made of the oldest that is free.
    for (let i = 0; i < 4; i++) appends.push(log.append());
    const waitUntil = Date.now() + 200;
    while (reused === before && Date.now() < waitUntil) await new Promise(resolve => setTimeout(resolve, 5));
    crashes.push(copyOf(log.directory));
    await unlink(path);
  });
  await log.open();
  for (let i = 0; i < 20; i++) await log.append();
  await log.compact();
  await expect.poll(() => crashes.length).toBeGreaterThan(1);
  await Promise.all(appends);
  await log.close();
  for (const directory of crashes) await recoverFiles(directory);
});

test('what could not be filled takes no room on a full disk', async () => {
  const directory = newDirectory();
  fs.symlinkSync('/dev/full', join(directory, 'preparing.tmp'));
  await expect(createSegment(directory, { sequence: 1, salt: 1 }, SEGMENT_BYTES, false)).rejects.toMatchObject({
    code: 'ENOSPC',
  });
  expect(fs.readdirSync(directory)).toEqual([]);
});

test.each([
  ['one step', SEGMENT_BYTES],
  ['several steps', 5 * 1024 * 1024],
  ['a size that direct writes refuse', SEGMENT_BYTES + 100],
])('a new segment is all there, allocated and zero behind its header: %s', async (_, bytes) => {
  const directory = newDirectory();
  fs.closeSync(await createSegment(directory, { sequence: 1, salt: 1 }, bytes, true));
  const path = segmentPath(directory, 1);
  const { size, blocks } = fs.statSync(path);
  expect(size).toBe(bytes);
  expect(blocks * 512).toBeGreaterThanOrEqual(bytes);
  const contents = fs.readFileSync(path).subarray(PAGE_BYTES);
  expect(contents.equals(Buffer.alloc(bytes - PAGE_BYTES))).toBe(true);
});
