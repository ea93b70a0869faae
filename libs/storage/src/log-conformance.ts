import type { LogRecord, LogStart, LogStore, RecoveredLog } from '@kahuna/node';
import { type Configuration, type Entry, EntryKind } from '@kahuna/raft';
import { expect, test } from 'vitest';

/** What a suite needs of a log: to open it, and to open it again after the one before was closed. */
export interface LogUnderTest {
  /** A new, empty log; calling it again on the same handle opens what the last one left. */
  open(): LogStore;
}

export const VOTERS: Configuration = {
  voters: [
    { replicaId: 1, nodeId: 10 },
    { replicaId: 2, nodeId: 300 },
  ],
  outgoing: [{ replicaId: 3, nodeId: 2 ** 31 - 1 }],
  learners: [{ replicaId: 2 ** 40, nodeId: 4 }],
};

export function entry(index: number, term: number, data: Uint8Array | string = `${index}@${term}`): Entry {
  return { index, term, kind: EntryKind.Command, data: typeof data === 'string' ? new TextEncoder().encode(data) : data };
}

export function entriesFrom(first: number, last: number, term: number): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => entry(first + i, term));
}

export function record(partitionId: number, parts: Partial<LogRecord>): LogRecord {
  return { partitionId, replicaId: 1, hardState: undefined, entries: [], start: undefined, ...parts };
}

export function startAt(index: number, term: number, reset = false): LogStart {
  return { index, term, configuration: VOTERS, reset };
}

export function recover(log: LogStore): Promise<RecoveredLog> {
  return new Promise((resolve, reject) => log.recover((error, found) => (found ? resolve(found) : reject(error))));
}

export function append(log: LogStore, records: LogRecord[], clockBoundMs?: number): Promise<void> {
  return new Promise((resolve, reject) =>
    log.append(records, clockBoundMs, error => (error === undefined ? resolve() : reject(error))),
  );
}

export function close(log: LogStore): Promise<void> {
  return new Promise((resolve, reject) => log.close(error => (error === undefined ? resolve() : reject(error))));
}

/** Appends each list of records by itself, closes, opens again, and returns what is found. */
async function afterReopening(subject: LogUnderTest, appends: LogRecord[][], clockBounds: number[] = []): Promise<RecoveredLog> {
  const log = subject.open();
  await recover(log);
  for (const records of appends) await append(log, records);
  for (const bound of clockBounds) await append(log, [], bound);
  await close(log);
  const again = subject.open();
  const found = await recover(again);
  await close(again);
  return found;
}

/** Every implementation of the log port passes these. */
export function logConformance(create: () => LogUnderTest): void {
  test('a new log is empty', async () => {
    expect(await afterReopening(create(), [])).toEqual({ groups: [], clockBoundMs: 0 });
  });

  test('hard state, start and entries come back as they were written', async () => {
    const odd = { ...entry(1, 1, new Uint8Array(0)), kind: EntryKind.Noop };
    const found = await afterReopening(create(), [
      [record(7, { start: startAt(0, 0), hardState: { term: 1, vote: 2 ** 45 }, entries: [odd, entry(2, 2 ** 40)] })],
      [record(0, { replicaId: 2 ** 50, entries: [{ ...entry(1, 3), kind: EntryKind.Configuration }] })],
    ]);
    expect(found.groups).toEqual([
      expect.objectContaining({
        partitionId: 0,
        replicaId: 2 ** 50,
        hardState: { term: 0, vote: 0 },
        entries: [{ ...entry(1, 3), kind: EntryKind.Configuration }],
      }),
      {
        partitionId: 7,
        replicaId: 1,
        hardState: { term: 1, vote: 2 ** 45 },
        start: startAt(0, 0),
        entries: [odd, entry(2, 2 ** 40)],
      },
    ]);
  });

  test('completions come in the order of the calls, later than the call, and pending counts what waits', async () => {
    const log = create().open();
    await recover(log);
    const order: number[] = [];
    const all = Array.from({ length: 20 }, (_, i) =>
      append(log, [record(1, { entries: [entry(i + 1, 1)] })]).then(() => order.push(i)),
    );
    expect(order).toEqual([]);
    expect(log.pending).toBe(20);
    await Promise.all(all);
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(log.pending).toBe(0);
    await close(log);
  });

  test('an append of nothing completes after what was appended before it', async () => {
    const log = create().open();
    await recover(log);
    const order: string[] = [];
    const first = append(log, [record(1, { entries: [entry(1, 1)] })]).then(() => order.push('first'));
    const empty = append(log, []).then(() => order.push('empty'));
    await Promise.all([first, empty]);
    expect(order).toEqual(['first', 'empty']);
    await close(log);
  });

  test('a later record replaces the entries from its first index on', async () => {
    const found = await afterReopening(create(), [
      [record(1, { entries: entriesFrom(1, 9, 1) })],
      [record(1, { hardState: { term: 2, vote: 1 }, entries: entriesFrom(4, 5, 2) })],
    ]);
    expect(found.groups[0]?.entries).toEqual([...entriesFrom(1, 3, 1), ...entriesFrom(4, 5, 2)]);
  });

  test('the latest hard state counts', async () => {
    const states = [3, 4, 9].map(term => [record(1, { hardState: { term, vote: term } })]);
    expect((await afterReopening(create(), states)).groups[0]?.hardState).toEqual({ term: 9, vote: 9 });
  });

  test('compaction drops what lies at or below the start', async () => {
    const found = await afterReopening(create(), [
      [record(1, { entries: entriesFrom(1, 9, 1) })],
      [record(1, { start: startAt(6, 1) })],
      [record(1, { entries: [entry(10, 2)] })],
    ]);
    expect(found.groups[0]).toMatchObject({ start: startAt(6, 1), entries: [...entriesFrom(7, 9, 1), entry(10, 2)] });
  });

  test('a compaction older than the present start changes nothing', async () => {
    const found = await afterReopening(create(), [
      [record(1, { entries: entriesFrom(1, 9, 1) })],
      [record(1, { start: startAt(6, 1) })],
      [record(1, { start: startAt(2, 1) })],
    ]);
    expect(found.groups[0]).toMatchObject({ start: startAt(6, 1), entries: entriesFrom(7, 9, 1) });
  });

  test('a reset drops every entry and the log goes on behind it', async () => {
    const found = await afterReopening(create(), [
      [record(1, { entries: entriesFrom(1, 9, 1) })],
      [record(1, { start: startAt(5, 3, true) })],
      [record(1, { entries: [entry(6, 3)] })],
    ]);
    expect(found.groups[0]).toMatchObject({ start: { ...startAt(5, 3), reset: false }, entries: [entry(6, 3)] });
  });

  test('a reset in the same record as entries comes before them', async () => {
    const found = await afterReopening(create(), [
      [record(1, { entries: entriesFrom(1, 9, 1) })],
      [record(1, { start: startAt(20, 3, true), entries: [entry(21, 3)] })],
    ]);
    expect(found.groups[0]).toMatchObject({ start: { index: 20 }, entries: [entry(21, 3)] });
  });

  test('a newer membership voids everything an older one wrote, and what an older one still writes', async () => {
    const found = await afterReopening(create(), [
      [record(1, { replicaId: 4, hardState: { term: 9, vote: 4 }, entries: entriesFrom(1, 9, 9) })],
      [record(1, { replicaId: 5, hardState: { term: 1, vote: 0 }, start: startAt(2, 1, true) })],
      [record(1, { replicaId: 4, hardState: { term: 10, vote: 4 }, entries: entriesFrom(10, 11, 10) })],
    ]);
    expect(found.groups).toEqual([
      { partitionId: 1, replicaId: 5, hardState: { term: 1, vote: 0 }, start: startAt(2, 1), entries: [] },
    ]);
  });

  test('the highest clock bound counts', async () => {
    expect((await afterReopening(create(), [], [1_700_000_000_000, 1_700_000_001_000, 5])).clockBoundMs).toBe(1_700_000_001_000);
  });

  test('groups of one append are all there, in many appends handed over at once too', async () => {
    const subject = create();
    const log = subject.open();
    await recover(log);
    const appends = Array.from({ length: 50 }, (_, i) =>
      append(
        log,
        Array.from({ length: 8 }, (_, partition) => record(partition, { entries: [entry(i + 1, 1)] })),
      ),
    );
    await Promise.all(appends);
    await close(log);
    const again = subject.open();
    const { groups } = await recover(again);
    expect(groups.map(group => group.entries)).toEqual(Array.from({ length: 8 }, () => entriesFrom(1, 50, 1)));
    await close(again);
  });

  test('the bytes handed over may be reused by the caller after the call', async () => {
    const subject = create();
    const log = subject.open();
    await recover(log);
    const data = new Uint8Array([1, 2, 3]);
    const done = append(log, [record(1, { entries: [entry(1, 1, data)] })]);
    data.fill(9);
    await done;
    await close(log);
    const again = subject.open();
    expect((await recover(again)).groups[0]?.entries[0]?.data).toEqual(new Uint8Array([1, 2, 3]));
    await close(again);
  });

  test('a closed log refuses', async () => {
    const log = create().open();
    await recover(log);
    await close(log);
    await expect(append(log, [record(1, { entries: [entry(1, 1)] })])).rejects.toThrow('closed');
  });
}
