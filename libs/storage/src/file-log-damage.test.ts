import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogStore } from '@kahuna/node';
import { afterAll, describe, expect, test } from 'vitest';
import { crc32, crc32ByTable } from './crc32.ts';
import { type FileLogOptions, openFileLog } from './file-log.ts';
import { append, close, entry, record, recover } from './log-conformance.ts';
import { type RecoveredFiles, recoverFiles } from './log-recovery.ts';
import { LOG_FORMAT_VERSION, LogCorruptionError, PAGE_BYTES, WRITE_HEADER_BYTES } from './segment-format.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-damage-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SEGMENT_BYTES = 64 * 1024;

function newDirectory(): string {
  return mkdtempSync(join(root, 'log-'));
}

async function opened(options: Partial<FileLogOptions> & { directory: string }): Promise<LogStore> {
  const log = openFileLog({ segmentBytes: SEGMENT_BYTES, ...options });
  await recover(log);
  return log;
}

function segmentFile(directory: string, sequence: number): string {
  return join(directory, `segment-${String(sequence).padStart(16, '0')}.log`);
}

function lastIndex(files: RecoveredFiles): number {
  return files.log.groups[0]?.entries.at(-1)?.index ?? 0;
}

/** A log of three writes of one entry each, two pages long: at offsets 1, 3 and 5 pages of the first segment. */
const ENTRY_BYTES = 5000;
const OFFSETS = [1, 3, 5].map(page => page * PAGE_BYTES) as [number, number, number];

async function threeWrites(): Promise<string> {
  const directory = newDirectory();
  const log = await opened({ directory });
  for (const index of [1, 2, 3])
    await append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(ENTRY_BYTES).fill(index))] })]);
  await close(log);
  return directory;
}

function copyOf(directory: string): string {
  const copy = newDirectory();
  for (const name of readdirSync(directory)) copyFileSync(join(directory, name), join(copy, name));
  return copy;
}

/** Lets `damage` change the bytes of a segment in a copy of the log, and returns the copy. */
function damaged(directory: string, damage: (bytes: Buffer) => void, sequence = 1): string {
  const copy = copyOf(directory);
  const path = segmentFile(copy, sequence);
  const bytes = readFileSync(path);
  damage(bytes);
  writeFileSync(path, bytes);
  return copy;
}

function flip(at: number): (bytes: Buffer) => void {
  return bytes => {
    bytes[at] = (bytes[at] as number) ^ 0x40;
  };
}

/** One byte of every field of a write, and of its payload. */
const PLACES = {
  checksum: 0,
  length: 5,
  'high byte of the length': 7,
  magic: 9,
  salt: 13,
  sequence: 20,
  'write number': 30,
  'first byte of the payload': WRITE_HEADER_BYTES,
  'middle of the payload': 2500,
  'payload on the second page': PAGE_BYTES + 100,
};

describe('file log, damage', () => {
  test.each(Object.entries(PLACES))(
    'a last write damaged in its %s is cut, and the log goes on behind the one before',
    async (_, at) => {
      const directory = damaged(await intact, flip(OFFSETS[2] + at));
      const log = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
      expect((await recover(log)).groups[0]?.entries.map(each => each.index)).toEqual([1, 2]);
      await append(log, [record(1, { entries: [entry(3, 2), entry(4, 2)] })]);
      await close(log);
      const again = await recoverFiles(directory);
      expect(again.log.groups[0]?.entries.map(each => each.term)).toEqual([1, 1, 2, 2]);
      expect(again.tornTail).toBeUndefined();
    },
  );

  test.each(Object.entries(PLACES))('damage to the %s of an earlier write is corruption, with file and offset', async (_, at) => {
    for (const offset of [OFFSETS[0], OFFSETS[1]]) {
      const directory = damaged(await intact, flip(offset + at));
      const error = await recoverFiles(directory).catch(caught => caught);
      expect(error).toBeInstanceOf(LogCorruptionError);
      expect(error).toMatchObject({ file: segmentFile(directory, 1), offset });
      expect(error.message).toContain(`${segmentFile(directory, 1)} at offset ${offset}`);
    }
  });

  const intact = threeWrites();

  test('a torn write is reported with its place', async () => {
    const directory = damaged(await intact, bytes => bytes.fill(0, OFFSETS[2] + PAGE_BYTES, OFFSETS[2] + 2 * PAGE_BYTES));
    const torn: unknown[] = [];
    await close(await opened({ directory, onTornTail: place => torn.push(place) }));
    expect(torn).toEqual([{ file: segmentFile(directory, 1), offset: OFFSETS[2] }]);
  });

  test('every prefix of a write that may have reached the disk is cut', async () => {
    for (const reached of [0, 1, 31, 32, 33, 512, 4095, 4096, 4608, 5000]) {
      const directory = damaged(await intact, bytes => bytes.fill(0, OFFSETS[2] + reached));
      expect(lastIndex(await recoverFiles(directory))).toBe(2);
    }
    const whole = damaged(await intact, bytes => bytes.fill(0, OFFSETS[2] + 2 * PAGE_BYTES));
    expect(lastIndex(await recoverFiles(whole))).toBe(3);
  });

  test('of the pages of a torn write any may have reached the disk', async () => {
    const directory = damaged(await intact, bytes => bytes.fill(0, OFFSETS[2], OFFSETS[2] + PAGE_BYTES));
    expect(lastIndex(await recoverFiles(directory))).toBe(2);
  });

  test('padding between writes means nothing', async () => {
    const directory = damaged(await intact, flip(OFFSETS[0] + 2 * PAGE_BYTES - 1));
    expect(lastIndex(await recoverFiles(directory))).toBe(3);
  });

  test.each([0, 5, 9, 18, 26, 38])('a damaged segment header (byte %i) is corruption at offset 0', async at => {
    const error = await recoverFiles(damaged(await intact, flip(at))).catch(caught => caught);
    expect(error).toBeInstanceOf(LogCorruptionError);
    expect(error.offset).toBe(0);
  });

  test('a segment of a newer format is refused as such', async () => {
    const directory = damaged(await intact, bytes => {
      bytes.writeUInt32LE(LOG_FORMAT_VERSION + 1, 4);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 36)), 36);
    });
    await expect(recoverFiles(directory)).rejects.toThrow(/newer release/);
  });

  test('the last write of a full segment is damaged or a segment is missing: corruption, because writes follow', async () => {
    const directory = newDirectory();
    const log = await opened({ directory });
    for (let index = 1; index <= 40; index++)
      await append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(ENTRY_BYTES))] })]);
    await close(log);
    // Seven writes of two pages fill a segment of sixteen pages, one of which is the header.
    const last = (1 + 6 * 2) * PAGE_BYTES;
    await expect(recoverFiles(damaged(directory, flip(last + 100), 2))).rejects.toMatchObject({ offset: last });
    const incomplete = copyOf(directory);
    rmSync(segmentFile(incomplete, 3));
    await expect(recoverFiles(incomplete)).rejects.toThrow(LogCorruptionError);
    const headless = copyOf(directory);
    rmSync(segmentFile(headless, 1));
    await expect(recoverFiles(headless)).rejects.toThrow('lacks entry 1');
  });

  test('a torn write that was cut and then followed by one in the next segment stays cut', async () => {
    const directory = damaged(await intact, flip(OFFSETS[2] + 2500));
    const log = await opened({ directory });
    await append(log, [record(1, { entries: [entry(3, 2, new Uint8Array(SEGMENT_BYTES - 3 * PAGE_BYTES))] })]);
    await close(log);
    const again = await recoverFiles(directory);
    expect(again.log.groups[0]?.entries.map(each => each.term)).toEqual([1, 1, 2]);
    expect(again.tornTail).toBeUndefined();
  });

  test('valid bytes of an earlier use of the file are not taken for writes', async () => {
    const directory = damaged(await intact, bytes => {
      const stale = Buffer.from(bytes.subarray(OFFSETS[0], OFFSETS[1]));
      stale.writeUInt32LE((stale.readUInt32LE(12) ^ 1) >>> 0, 12); // as if under another salt
      stale.writeUInt32LE(crc32(stale.subarray(4, WRITE_HEADER_BYTES + stale.readUInt32LE(4))), 0);
      stale.copy(bytes, OFFSETS[2] + 2 * PAGE_BYTES);
    });
    expect(lastIndex(await recoverFiles(directory))).toBe(3);
  });

  test('what a crash left half-made is no segment', async () => {
    const directory = copyOf(await intact);
    writeFileSync(join(directory, 'preparing.tmp'), 'half');
    expect(lastIndex(await recoverFiles(directory))).toBe(3);
    expect(readdirSync(directory)).not.toContain('preparing.tmp');
  });

  test('both checksum implementations agree', () => {
    const data = Buffer.from('123456789');
    expect(crc32ByTable(data)).toBe(0xcbf4_3926); // the check value of CRC-32/ISO-HDLC
    expect(crc32(data)).toBe(0xcbf4_3926);
  });
});

describe('file log, failing disk', () => {
  test('a failed write is final: it and everything after it fail alike, what was acknowledged is there', async () => {
    const directory = newDirectory();
    const log = await opened({ directory, faults: { failAfterWrites: 3, failCode: 'EIO' } });
    for (const index of [1, 2, 3]) await append(log, [record(1, { entries: [entry(index, 1)] })]);
    const results = await Promise.allSettled([4, 5, 6].map(index => append(log, [record(1, { entries: [entry(index, 1)] })])));
    expect(results.map(result => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(append(log, [])).rejects.toMatchObject({ code: 'EIO' });
    expect(log.pending).toBe(0);
    await expect(close(log)).rejects.toMatchObject({ code: 'EIO' });
    expect((await recoverFiles(directory)).log.groups[0]?.entries.map(each => each.index)).toEqual([1, 2, 3]);
  });

  test('failing to make the next segment matters only when it is needed, and not once it can be made', async () => {
    const directory = newDirectory();
    const log = await opened({ directory });
    await expect.poll(() => readdirSync(directory)).toContain('segment-0000000000000002.log');
    const obstacle = join(directory, 'preparing.tmp');
    mkdirSync(obstacle); // in the way of every segment being made
    const large = (index: number) => append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(40_000))] })]);
    await large(1);
    await large(2); // now the second segment is in use, and making the third has failed
    rmdirSync(obstacle);
    await large(3);
    mkdirSync(obstacle);
    await large(4).catch(() => undefined);
    await expect(Promise.all([large(5), large(6)])).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(close(log)).rejects.toMatchObject({ code: 'EISDIR' });
    rmdirSync(obstacle);
    const found = (await recoverFiles(directory)).log.groups[0]?.entries.map(each => each.index) ?? [];
    expect(found.slice(0, 3)).toEqual([1, 2, 3]);
  });

  test('a full disk fails the append that finds no place, and nothing acknowledged is lost', async () => {
    const { directory, faults, unmount } = smallDisk();
    try {
      const log = await opened({ directory, segmentBytes: 512 * 1024, faults });
      let acknowledged = 0;
      const failure = await (async () => {
        for (let index = 1; index < 1000; index++) {
          await append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(20_000))] })]);
          acknowledged = index;
        }
        return undefined;
      })().catch(error => error);
      expect(failure).toMatchObject({ code: 'ENOSPC' });
      await expect(close(log)).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(acknowledged).toBeGreaterThan(30);
      const found = (await recoverFiles(directory)).log.groups[0]?.entries.length ?? 0;
      expect(found).toBeGreaterThanOrEqual(acknowledged);
    } finally {
      unmount();
    }
  });

  test('a disk that takes 20 ms for every write does not hold up the event loop', async () => {
    const log = await opened({ directory: newDirectory(), faults: { writeDelayMs: 20 } });
    await append(log, [record(1, { entries: [entry(1, 1)] })]); // the thread has started
    const writes = 10;
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns++;
      if (counting) setImmediate(count);
    };
    count();
    const begun = performance.now();
    for (let index = 2; index < 2 + writes; index++) await append(log, [record(1, { entries: [entry(index, 1)] })]);
    const elapsedMs = performance.now() - begun;
    counting = false;
    await close(log);
    expect(elapsedMs).toBeGreaterThan(writes * 20 * 0.9);
    expect(turns).toBeGreaterThan(writes * 20); // a loop that waited for each write would turn a few times per write
  });
});

/** A real file system of 2 MiB where this process may mount one; elsewhere a disk that fills up after as much. */
function smallDisk(): {
  directory: string;
  faults: { failAfterWrites: number; failCode: string } | Record<string, never>;
  unmount(): void;
} {
  const directory = newDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'kahuna-test', directory], { stdio: 'ignore' });
  } catch {
    return { directory, faults: { failAfterWrites: 60, failCode: 'ENOSPC' }, unmount: () => undefined };
  }
  return { directory, faults: {}, unmount: () => void execFileSync('umount', [directory]) };
}
