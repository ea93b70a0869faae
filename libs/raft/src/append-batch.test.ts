import { expect, test } from 'vitest';
import { AppendBatch } from './append-batch.ts';
import { RaftLog } from './log.ts';
import { ENTRY_OVERHEAD_BYTES } from './message.ts';
import { EntryKind } from './types.ts';

const DATA_BYTES = 4;
const ENTRY_BYTES = DATA_BYTES + ENTRY_OVERHEAD_BYTES;

function logOf(count: number): RaftLog {
  const log = new RaftLog(0, 0, []);
  for (let index = 1; index <= count; index++) {
    log.append({ index, term: 1, kind: EntryKind.Command, data: new Uint8Array(DATA_BYTES) });
  }
  return log;
}

test('a batch ends where the next entry would not fit, and holds at least one', () => {
  const batch = new AppendBatch();
  batch.loadFrom(logOf(9), 2, 3 * ENTRY_BYTES);
  expect([batch.from, batch.to, batch.bytes]).toEqual([2, 4, 3 * ENTRY_BYTES]);
  batch.loadFrom(logOf(9), 5, 1);
  expect([batch.from, batch.to]).toEqual([5, 5]);
});

test('peers at the same place share one array, also when the log has grown meanwhile', () => {
  const log = logOf(3);
  const batch = new AppendBatch();
  batch.loadFrom(log, 1, 1000);
  const { entries } = batch;
  log.append({ index: 4, term: 1, kind: EntryKind.Command, data: new Uint8Array(1) });
  batch.loadFrom(log, 1, 1000);
  expect(batch.entries).toBe(entries);
  batch.loadFrom(log, 4, 1000);
  expect(batch.entries).toMatchObject([{ index: 4 }]);
});

test('what the log does not hold any more is built anew', () => {
  const log = logOf(3);
  const batch = new AppendBatch();
  batch.loadFrom(log, 1, 1000);
  log.truncateFrom(3);
  batch.loadFrom(log, 1, 1000);
  expect(batch.entries.map(entry => entry.index)).toEqual([1, 2]);
});

test('only exactly the same entries are given again, and none after they were let go', () => {
  const batch = new AppendBatch();
  batch.loadFrom(logOf(3), 1, 1000);
  expect([batch.exactly(1, 3) === batch.entries, batch.exactly(1, 2), batch.exactly(2, 3)]).toEqual([true, undefined, undefined]);
  batch.clear();
  expect(batch.exactly(1, 3)).toBeUndefined();
});
