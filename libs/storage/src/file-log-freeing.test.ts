import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '@kahuna/base';
import type { LogRecord, LogStore, RecoveredLog } from '@kahuna/node';
import type { Entry } from '@kahuna/raft';
import { afterAll, describe, expect, test } from 'vitest';
import { openFileLog } from './file-log.ts';
import { append, close, entriesFrom, entry, record, recover, startAt, VOTERS } from './log-conformance.ts';
import { segmentPath } from './segment-files.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-free-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SEGMENT_BYTES = 64 * 1024;

function newDirectory(): string {
  return mkdtempSync(join(root, 'log-'));
}

async function opened(directory: string): Promise<LogStore> {
  const log = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
  await recover(log);
  return log;
}

function sequences(directory: string): number[] {
  return readdirSync(directory)
    .filter(name => name.endsWith('.log'))
    .map(name => Number(name.slice('segment-'.length, -'.log'.length)))
    .sort((a, b) => a - b);
}

/** What a group ought to look like, kept the slow and obvious way. */
class GroupModel {
  replicaId = 1;
  term = 1;
  vote = 0;
  start = 0;
  startTerm = 0;
  entries: Entry[] = [];
  readonly partitionId: number;

  constructor(partitionId: number) {
    this.partitionId = partitionId;
  }

  get last(): number {
    return this.start + this.entries.length;
  }

  record(parts: Partial<LogRecord>): LogRecord {
    return record(this.partitionId, { replicaId: this.replicaId, ...parts });
  }

  append(rng: Rng, from: number): LogRecord {
    if (from <= this.last) this.term++; // only another term's entries replace entries
    const count = rng.int(1, 5);
    const fresh = Array.from({ length: count }, (_, i) => entry(from + i, this.term, bytes(rng)));
    this.entries = [...this.entries.slice(0, from - this.start - 1), ...fresh];
    return this.record({ hardState: { term: this.term, vote: this.vote }, entries: fresh });
  }

  campaign(rng: Rng): LogRecord {
    this.term++;
    this.vote = rng.int(0, 5);
    return this.record({ hardState: { term: this.term, vote: this.vote } });
  }

  compact(to: number): LogRecord {
    this.startTerm = this.entries[to - this.start - 1]?.term ?? this.startTerm;
    this.entries = this.entries.slice(to - this.start);
    this.start = to;
    return this.record({ start: startAt(this.start, this.startTerm) });
  }

  reset(): LogRecord {
    this.start = this.last + 10;
    this.startTerm = this.term;
    this.entries = [];
    return this.record({ start: startAt(this.start, this.startTerm, true) });
  }

  rejoin(): LogRecord {
    this.replicaId++;
    this.term = 3;
    this.vote = 0;
    return { ...this.reset(), hardState: { term: this.term, vote: this.vote } };
  }

  expected(): RecoveredLog['groups'][number] {
    return {
      partitionId: this.partitionId,
      replicaId: this.replicaId,
      hardState: { term: this.term, vote: this.vote },
      start: startAt(this.start, this.startTerm),
      entries: this.entries,
    };
  }
}

/** Comparing thousands of typed arrays takes the test library seconds. */
function printable(group: RecoveredLog['groups'][number]) {
  const entries = group.entries.map(({ index, term, data }) => `${index}@${term} ${data.length} x ${data[0]} … ${data.at(-1)}`);
  return { ...group, entries };
}

function bytes(rng: Rng): Uint8Array {
  return new Uint8Array(rng.chance(0.05) ? rng.int(3000, 9000) : rng.int(0, 600)).fill(rng.int(0, 255));
}

describe('file log, freeing segments', () => {
  test.each([1, 2])('random histories over many recycled segments come back as they were (seed %i)', async seed => {
    const rng = new Rng(seed);
    const directory = newDirectory();
    let log = await opened(directory);
    const groups = Array.from({ length: 6 }, (_, i) => new GroupModel(i));
    let bound = 0;
    await append(
      log,
      groups.map(group => group.record({ start: startAt(0, 0), hardState: { term: 1, vote: 0 } })),
    );
    let pending: Promise<void>[] = [];
    for (let step = 1; step <= 1800; step++) {
      // Group 5 is touched rarely and never compacted: what it has must be carried from segment to segment.
      const group = groups[rng.chance(0.002) ? 5 : rng.int(0, 4)] as GroupModel;
      const records: LogRecord[] = [];
      const dice = rng.float();
      if (dice < 0.75) records.push(group.append(rng, group.last + 1));
      else if (dice < 0.8 && group.entries.length > 0) records.push(group.append(rng, rng.int(group.start + 1, group.last)));
      else if (dice < 0.85) records.push(group.campaign(rng));
      else if (dice < 0.99 && group.entries.length > 0 && group.partitionId !== 5) {
        records.push(group.compact(rng.int(group.start + 1, group.last)));
      } else if (dice > 0.997 && group.partitionId !== 5) records.push(rng.chance(0.5) ? group.reset() : group.rejoin());
      if (rng.chance(0.05)) bound += 500;
      pending.push(append(log, records, bound > 0 && rng.chance(0.05) ? bound : undefined));
      if (rng.chance(0.05)) log.release(new Map());
      if (rng.chance(0.03)) {
        await Promise.all(pending);
        pending = [];
      }
      if (step % 600 === 0) {
        await append(log, [], bound);
        await close(log);
        log = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
        const found = await recover(log);
        expect(found.clockBoundMs).toBe(bound);
        expect(found.groups.map(printable)).toEqual(groups.map(each => printable(each.expected())));
      }
    }
    await Promise.all(pending);
    await close(log);
    const left = sequences(directory);
    expect(left[0]).toBeGreaterThan(4); // the first segments have been given up, so their only copies were carried
    expect(left.length).toBeLessThan(14);
  });

  test('a state that is never written again survives any number of segments', async () => {
    const directory = newDirectory();
    let log = await opened(directory);
    await append(
      log,
      [record(9, { start: startAt(4, 2), hardState: { term: 7, vote: 3 }, entries: entriesFrom(5, 7, 6) })],
      12_345,
    );
    for (let index = 1; index <= 300; index++) {
      await append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(9000))], start: startAt(index - 1, 1) })]);
      log.release(new Map([[1, index]]));
    }
    await close(log);
    expect(sequences(directory)[0]).toBeGreaterThan(20);
    log = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
    const found = await recover(log);
    expect(found.clockBoundMs).toBe(12_345);
    expect(found.groups[1]).toEqual({
      partitionId: 9,
      replicaId: 1,
      hardState: { term: 7, vote: 3 },
      start: { index: 4, term: 2, configuration: VOTERS, reset: false },
      entries: entriesFrom(5, 7, 6),
    });
    await close(log);
  });

  test('what is not compacted is kept, and freed once it is', async () => {
    const directory = newDirectory();
    const log = await opened(directory);
    for (let index = 1; index <= 60; index++)
      await append(log, [record(1, { entries: [entry(index, 1, new Uint8Array(15_000))] })]);
    log.release(new Map([[1, 60]]));
    expect(sequences(directory).length).toBeGreaterThan(14);
    await append(log, [record(1, { start: startAt(60, 1) })]);
    log.release(new Map([[1, 60]]));
    await expect.poll(() => sequences(directory).length).toBeLessThan(7);
    await close(log);
  });

  test('a record larger than a write goes in parts, an entry larger than a segment fails the log', async () => {
    const directory = newDirectory();
    const log = await opened(directory);
    const entries = entriesFrom(1, 40, 1).map(each => ({ ...each, data: new Uint8Array(8000).fill(each.index) }));
    await append(log, [record(1, { entries, hardState: { term: 1, vote: 1 } })]);
    const failed = append(log, [record(1, { entries: [entry(41, 1, new Uint8Array(SEGMENT_BYTES))] })]);
    await expect(failed).rejects.toThrow('does not fit');
    await expect(append(log, [record(1, { entries: [entry(41, 1)] })])).rejects.toThrow('does not fit');
    await expect(close(log)).rejects.toThrow('does not fit');
    const again = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
    expect((await recover(again)).groups[0]?.entries).toEqual(entries);
    await close(again);
  });

  test('a new log begins with small segments; what is larger than those goes where it fits', async () => {
    const MIB = 1024 * 1024;
    const directory = newDirectory();
    let log = openFileLog({ directory, segmentBytes: 16 * MIB });
    await recover(log);
    const entries = [entry(1, 1), entry(2, 1, new Uint8Array(10 * MIB).fill(7)), entry(3, 1)];
    for (const each of entries) await append(log, [record(1, { entries: [each] })]);
    await close(log);
    const sizes = sequences(directory).map(number => statSync(segmentPath(directory, number)).size / MIB);
    expect(sizes.slice(0, 3)).toEqual([8, 8, 16]);
    log = openFileLog({ directory, segmentBytes: 16 * MIB });
    const found = (await recover(log)).groups[0]?.entries ?? [];
    expect(found.map(({ index, data }) => [index, data.length, data[0]])).toEqual(
      entries.map(({ index, data }) => [index, data.length, data[0]]),
    );
    await close(log);
  });

  test('another segment size than before is taken up', async () => {
    const directory = newDirectory();
    const entries = entriesFrom(1, 3, 1);
    let log = await opened(directory);
    await append(log, [record(1, { entries })]);
    await close(log);
    log = openFileLog({ directory, segmentBytes: 4 * SEGMENT_BYTES });
    await recover(log);
    const large = entry(4, 1, new Uint8Array(3 * SEGMENT_BYTES));
    await append(log, [record(1, { entries: [large] })]);
    await close(log);
    log = await opened(directory);
    await close(log);
    log = openFileLog({ directory, segmentBytes: SEGMENT_BYTES });
    expect((await recover(log)).groups[0]?.entries).toEqual([...entries, large]);
    await close(log);
  });
});
