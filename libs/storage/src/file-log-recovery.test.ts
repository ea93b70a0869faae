import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogStore, RecoveredLog } from '@kahuna/node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openFileLog } from './file-log.ts';
import type * as SegmentFiles from './segment-files.ts';

/** Which files were synced as a whole, in order; the real call is made too. */
const synced = vi.hoisted((): number[] => []);

vi.mock('./segment-files.ts', async original => {
  const files = await original<typeof SegmentFiles>();
  return {
    ...files,
    syncSegment: (fd: number): Promise<void> => {
      synced.push(fd);
      return files.syncSegment(fd);
    },
  };
});

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kahuna-log-'));
  synced.length = 0;
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
  synced.length = 0;
  const log = openFileLog(options);
  return { log, recovered: await recover(log) };
}

test('invariant 3: a vote that a killed process may have left in memory is durable before it is read back as one', async () => {
  const { log, recovered } = await reopen(true);
  expect(recovered.groups[0]?.hardState).toEqual({ term: 3, vote: 1 });
  expect(synced).toHaveLength(1);
  await append(log, 4);
  expect(synced).toHaveLength(1);
  await close(log);
});

test('a log that shall not wait for the disk does not wait for it at its start either', async () => {
  const { log } = await reopen(false);
  expect(synced).toEqual([]);
  await close(log);
});
