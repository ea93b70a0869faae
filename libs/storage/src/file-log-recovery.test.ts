import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogStore, RecoveredLog } from '@kahuna/node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openFileLog } from './file-log.ts';
import type * as SegmentFiles from './segment-files.ts';
import { segmentPath } from './segment-files.ts';
import { PAGE_BYTES } from './segment-format.ts';

/** What recovery wrote, in order; the real call is made too. */
const written = vi.hoisted((): { readonly bytes: Uint8Array; readonly position: number }[] => []);

vi.mock('./segment-files.ts', async original => {
  const files = await original<typeof SegmentFiles>();
  return {
    ...files,
    writeDurably: (fd: number, bytes: Uint8Array, position: number): Promise<void> => {
      written.push({ bytes, position });
      return files.writeDurably(fd, bytes, position);
    },
  };
});

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kahuna-log-'));
  written.length = 0;
});

afterEach(() => rm(directory, { recursive: true, force: true }));

function recover(log: LogStore): Promise<RecoveredLog> {
  return new Promise((resolve, reject) => {
    log.recover((error, recovered) => (recovered === undefined ? reject(error) : resolve(recovered)));
  });
}

function append(log: LogStore, term: number): Promise<void> {
  const record = { partitionId: 2, replicaId: 1, hardState: { term, vote: 1 }, entries: [], start: undefined };
  return new Promise((resolve, reject) => {
    log.append([record], undefined, error => (error === undefined ? resolve() : reject(error)));
  });
}

function close(log: LogStore): Promise<void> {
  return new Promise((resolve, reject) => log.close(error => (error === undefined ? resolve() : reject(error))));
}

/** A log with one write, reopened. */
async function reopen(sync: boolean): Promise<{ readonly log: LogStore; readonly recovered: RecoveredLog }> {
  const options = { directory, segmentBytes: 64 * 1024, sync };
  const first = openFileLog(options);
  await recover(first);
  await append(first, 3);
  await close(first);
  written.length = 0;
  const log = openFileLog(options);
  return { log, recovered: await recover(log) };
}

test('invariant 3: a vote that a killed process, or a failed sync, may have left in memory is written again before it is read back', async () => {
  const { log, recovered } = await reopen(true);
  expect(recovered.groups[0]?.hardState).toEqual({ term: 3, vote: 1 });
  expect(written).toHaveLength(1);
  const { bytes, position } = written[0] as (typeof written)[0];
  const segment = await readFile(segmentPath(directory, 1));
  expect(bytes.length).toBeGreaterThan(0);
  expect(segment.subarray(position, position + bytes.length).equals(bytes)).toBe(true);
  // Nothing behind it is a write: it is the last one.
  expect(segment.subarray(position + bytes.length).every(byte => byte === 0)).toBe(true);
  await append(log, 4);
  expect(written).toHaveLength(1);
  await close(log);
});

test('of many writes only the last one is written again, whole', async () => {
  const options = { directory, segmentBytes: 64 * 1024, sync: true };
  const first = openFileLog(options);
  await recover(first);
  for (let term = 1; term <= 40; term++) await append(first, term);
  await close(first);
  written.length = 0;
  const log = openFileLog(options);
  expect((await recover(log)).groups[0]?.hardState).toEqual({ term: 40, vote: 1 });
  expect(written.map(({ bytes }) => bytes.length)).toEqual([PAGE_BYTES]);
  await close(log);
  const again = openFileLog(options);
  expect((await recover(again)).groups[0]?.hardState).toEqual({ term: 40, vote: 1 });
  await close(again);
});

test('a log that shall not wait for the disk does not wait for it at its start either', async () => {
  const { log } = await reopen(false);
  expect(written).toEqual([]);
  await close(log);
});
