import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert, ByteWriter, type PartitionId } from '@kahuna/base';
import type { LogRecord, LogStore, RecoveredLog } from '@kahuna/node';
import type { Entry } from '@kahuna/raft';
import { DeferredQueue } from './deferred-queue.ts';
import {
  CLOCK_BOUND_BYTES,
  decodeItems,
  encodeClockBound,
  encodeRecord,
  entryBytesAtMost,
  recordBytesAtMost,
} from './log-codec.ts';
import { LogIndex } from './log-index.ts';
import { type LogPlace, type RecoveredFiles, recoverFiles } from './log-recovery.ts';
import { LogWriter } from './log-writer.ts';
import type { LogFaults } from './log-writer-protocol.ts';
import {
  closeSegment,
  createSegment,
  giveUpSegment,
  openSegment,
  removeSegment,
  reuseSegment,
  segmentPath,
  writeDurably,
} from './segment-files.ts';
import {
  LogCorruptionError,
  PAGE_BYTES,
  readWrite,
  roundUpToPage,
  type SegmentIdentity,
  WRITE_HEADER_BYTES,
} from './segment-format.ts';

export interface FileLogOptions {
  /** Created if missing. One log per directory; the caller holds the directory's lock. */
  readonly directory: string;
  /** Size of a segment file, a multiple of 4096; a new log begins with smaller ones. No entry may be larger. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** False: writes survive a kill of the process, not a power loss (`--disable-wal-sync-writes`). Default true. */
  readonly sync?: boolean;
  /** Recovery left out a torn last write: nothing that was acknowledged. For the node's log. */
  readonly onTornTail?: (place: LogPlace) => void;
  /** For tests. */
  readonly faults?: LogFaults;
}

const DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024;
/** A new log begins with two segments of this size, and doubles: a node that has little to log need not fill 128 MiB before it starts. */
const FIRST_SEGMENT_BYTES = 8 * 1024 * 1024;
/** A write stops collecting at about this size: larger ones gain nothing and delay whoever comes behind. */
const WRITE_BYTES = 1024 * 1024;
/** Carrying on what is still needed goes in steps of this size, between the writes of others. */
const CARRY_STEP_BYTES = 256 * 1024;
/** Segments that nothing needs, kept to be recycled. */
const KEPT_FREE = 2;
/** The youngest full segments are left alone: most of what they hold will soon be compacted away. */
const UNTOUCHED_FULL = 1;

/** One segment, from the plan to write it until nothing in it is needed any more. */
interface Segment extends SegmentIdentity {
  readonly path: string;
  readonly bytes: number;
  /** Open for writing: the file is there, and not full yet. */
  fd: number | undefined;
  state: 'planned' | 'ready' | 'full' | 'free';
  /** A write waits for this planned segment, so failing to make it can no longer be put off. */
  needed: boolean;
  failure: Error | undefined;
}

/** What one write will carry. Its place is fixed when it is begun, so that the index knows at once where everything stands. */
interface Batch {
  readonly segment: Segment;
  readonly position: number;
  /** Undefined while it still collects. */
  payload: Uint8Array<ArrayBuffer> | undefined;
  records: number;
  readonly callbacks: ((error: Error | undefined) => void)[];
}

/** The node's durable log: see {@link FileLog}. Nothing happens on disk before `recover`. */
export function openFileLog(options: FileLogOptions): LogStore {
  return new FileLog(options);
}

/**
 * One log for all groups of a node, in segments of equal size that are made ahead of need and used again.
 *
 * Writing: records are encoded into the batch that collects, which becomes the next write as soon as the one under way is durable (group
 * commit without delay). Each batch has its place in a segment from the start.
 *
 * Freeing: the oldest full segment is given up once nothing in it is needed. What little still is (hard states, starts, entries of slow
 * groups) is *carried on* first, that is appended again. Always the oldest: then what remains is a suffix of the history, and
 * replaying it gives the same as replaying everything, but for what was carried.
 *
 * Invariants: a segment is recycled or removed only after every record that made it unneeded is durable; write numbers have no
 * gap; after the first error nothing more is written.
 */
class FileLog implements LogStore {
  private readonly directory: string;
  private readonly segmentBytes: number;
  private readonly sync: boolean;
  private readonly onTornTail: (place: LogPlace) => void;
  private readonly writer: LogWriter;
  private readonly deferred = new DeferredQueue();
  private readonly encoder = new ByteWriter(64 * 1024);
  private index = new LogIndex();
  /** Oldest first; the one being written and at least one made ahead are at the end. */
  private segments: Segment[] = [];
  private current: Segment | undefined;
  private nextPosition = PAGE_BYTES;
  private nextWriteNumber = 1;
  /** Not yet under way; only the last one may still collect. */
  private readonly batches: Batch[] = [];
  private inFlight: Batch | undefined;
  private flushScheduled = false;
  private waitingRecords = 0;
  private making: Promise<void> = Promise.resolve();
  private freeing: Promise<void> | undefined;
  private failure: Error | undefined;
  private closing: ((error: Error | undefined) => void) | undefined;
  private closed = false;

  constructor({ directory, segmentBytes, sync, onTornTail, faults }: FileLogOptions) {
    this.directory = directory;
    this.segmentBytes = segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    assert(this.segmentBytes % PAGE_BYTES === 0 && this.segmentBytes >= 4 * PAGE_BYTES, 'segmentBytes is a multiple of the page');
    this.sync = sync ?? true;
    this.onTornTail = onTornTail ?? (() => undefined);
    this.writer = new LogWriter(faults ?? {});
  }

  get pending(): number {
    return this.waitingRecords;
  }

  // ---- recovery ------------------------------------------------------------------------------------------------------------

  recover(done: (error: Error | undefined, log: RecoveredLog | undefined) => void): void {
    this.recoverAsync().then(
      log => this.deferred.push(() => done(undefined, log)),
      (error: Error) => {
        this.failure = error;
        this.deferred.push(() => done(error, undefined));
      },
    );
  }

  private async recoverAsync(): Promise<RecoveredLog> {
    const files = await recoverFiles(this.directory);
    this.index = files.index;
    this.nextWriteNumber = files.nextWriteNumber;
    this.nextPosition = files.offset;
    this.segments = files.segments.map((segment, i) => recovered(segment, i < files.current));
    for (const segment of this.segments) {
      if (segment.state === 'ready') segment.fd = await openSegment(segment.path, this.sync);
    }
    if (this.segments.length === 0) this.addSegment();
    this.current = this.segments[files.current] as Segment;
    await this.making;
    if (this.current.failure !== undefined) throw this.current.failure;
    // The last write may be in the system's memory only: its process was killed, or its sync failed, after which a system takes the
    // page for clean and another sync does nothing. It was read back, so votes and entries in it are about to be acted upon as durable ones.
    if (this.sync && files.lastWrite !== undefined && this.current.fd !== undefined)
      await writeDurably(this.current.fd, files.lastWrite.bytes, files.lastWrite.offset);
    if (this.current === this.newest) this.addSegment();
    if (files.tornTail !== undefined) this.onTornTail(files.tornTail);
    this.freeOldSegments();
    return files.log;
  }

  // ---- appending -----------------------------------------------------------------------------------------------------------

  append(records: readonly LogRecord[], clockBoundMs: number | undefined, done: (error: Error | undefined) => void): void {
    const refused = this.refusal(records);
    if (refused !== undefined) {
      this.deferred.push(() => done(refused));
      return;
    }
    for (const record of records) this.plan(record, false);
    if (clockBoundMs !== undefined) this.planClockBound(clockBoundMs);
    const last = this.newestBatch;
    if (last === undefined) {
      this.deferred.push(() => done(undefined)); // nothing to write, and nothing written before it to wait for
      return;
    }
    last.records += records.length;
    this.waitingRecords += records.length;
    last.callbacks.push(done);
    this.scheduleFlush();
  }

  /** An entry that fits into no segment fails the log like a full disk: it can't be left out. */
  private refusal(records: readonly LogRecord[]): Error | undefined {
    if (this.failure !== undefined) return this.failure;
    if (this.closing !== undefined) return new Error('the log is closed');
    assert(this.current !== undefined, 'the log is recovered before it is appended to');
    for (const record of records) {
      for (const entry of record.entries) {
        if (entryBytesAtMost(entry) + STATE_BYTES_AT_MOST > this.segmentBytes - PAGE_BYTES) {
          this.fail(
            new Error(`an entry of ${entry.data.length} bytes does not fit into a log segment of ${this.segmentBytes} bytes`),
          );
          return this.failure;
        }
      }
    }
    return undefined;
  }

  /** Finds a place for a record, in parts if it is large. A crash between the parts leaves a prefix, as of one that was cut in sending. */
  private plan(record: LogRecord, carried: boolean): void {
    const limit = Math.min(WRITE_BYTES, this.segmentBytes - 2 * PAGE_BYTES);
    if (recordBytesAtMost(record) <= limit) {
      this.planPart(record, carried);
      return;
    }
    const { partitionId, replicaId } = record;
    this.planPart({ ...record, entries: [] }, carried);
    for (const entries of partsOf(record.entries, limit - STATE_BYTES_AT_MOST)) {
      this.planPart({ partitionId, replicaId, hardState: undefined, start: undefined, entries }, carried);
    }
  }

  private planPart(record: LogRecord, carried: boolean): void {
    const batch = this.batchWithRoom(recordBytesAtMost(record));
    if (this.index.apply(record, batch.segment.sequence, carried)) encodeRecord(this.encoder, record, carried);
  }

  private planClockBound(ms: number): void {
    const batch = this.batchWithRoom(CLOCK_BOUND_BYTES);
    this.index.applyClockBound(ms, batch.segment.sequence);
    encodeClockBound(this.encoder, ms);
  }

  /** The batch that collects, or a new one if `bytes` more do not fit. */
  private batchWithRoom(bytes: number): Batch {
    const open = this.collecting;
    if (open !== undefined) {
      const payload = this.encoder.length + bytes;
      const fits = open.position + roundUpToPage(WRITE_HEADER_BYTES + payload) <= open.segment.bytes;
      if (fits && (payload <= WRITE_BYTES || this.encoder.length === 0)) return open;
      this.seal(open);
    }
    let segment = this.current as Segment;
    while (this.nextPosition + roundUpToPage(WRITE_HEADER_BYTES + bytes) > segment.bytes) segment = this.advance();
    const batch: Batch = { segment, position: this.nextPosition, payload: undefined, records: 0, callbacks: [] };
    this.batches.push(batch);
    return batch;
  }

  private get collecting(): Batch | undefined {
    const last = this.batches[this.batches.length - 1];
    return last?.payload === undefined ? last : undefined;
  }

  /** The one whose completion says that everything planned so far is durable. */
  private get newestBatch(): Batch | undefined {
    return this.batches[this.batches.length - 1] ?? this.inFlight;
  }

  /** Nothing more goes into this batch: now its size, and with it the place of the next one, is known. */
  private seal(batch: Batch): void {
    batch.payload = this.encoder.take();
    this.nextPosition = batch.position + roundUpToPage(WRITE_HEADER_BYTES + batch.payload.length);
  }

  /** Goes on to the next segment, and has another one made behind it. */
  private advance(): Segment {
    if (this.current === this.newest) this.addSegment();
    const next = this.segments[this.segments.indexOf(this.current as Segment) + 1] as Segment;
    this.current = next;
    this.nextPosition = PAGE_BYTES;
    if (next === this.newest) this.addSegment();
    return next;
  }

  // ---- writing -------------------------------------------------------------------------------------------------------------

  /** At the end of the present step, so that calls made one after the other share the first write. */
  private scheduleFlush(): void {
    if (this.flushScheduled || this.inFlight !== undefined) return;
    this.flushScheduled = true;
    queueMicrotask(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    const batch = this.batches[0];
    if (batch === undefined || this.inFlight !== undefined || this.failure !== undefined) return;
    const { segment } = batch;
    if (segment.state === 'planned') {
      this.demand(segment);
      return;
    }
    if (batch.payload === undefined) this.seal(batch);
    const payload = batch.payload as Uint8Array<ArrayBuffer>;
    this.batches.shift();
    this.inFlight = batch;
    const write = {
      fd: segment.fd as number,
      position: batch.position,
      segment,
      writeNumber: this.nextWriteNumber++,
      payload,
    };
    this.writer.write(write, error => this.written(batch, error));
    this.encoder.adopt(payload.buffer); // the writer has copied it
  }

  private written(batch: Batch, error: Error | undefined): void {
    if (error !== undefined || this.failure !== undefined) {
      if (error !== undefined) this.fail(error);
      this.finishClosing();
      return;
    }
    this.inFlight = undefined;
    this.waitingRecords -= batch.records;
    this.flush(); // the disk goes on before anybody is told
    for (const done of batch.callbacks) done(undefined);
    this.closeFullSegments();
    this.finishClosing();
  }

  private fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    const lost = this.inFlight === undefined ? [...this.batches] : [this.inFlight, ...this.batches];
    this.batches.length = 0;
    this.inFlight = undefined;
    this.waitingRecords = 0;
    for (const batch of lost) for (const done of batch.callbacks) this.deferred.push(() => done(error));
    this.finishClosing();
  }

  // ---- segments ------------------------------------------------------------------------------------------------------------

  private get newest(): Segment | undefined {
    return this.segments[this.segments.length - 1];
  }

  private addSegment(): void {
    const sequence = (this.newest?.sequence ?? 0) + 1;
    const segment: Segment = {
      sequence,
      salt: randomBytes(4).readUInt32LE(),
      path: segmentPath(this.directory, sequence),
      bytes: Math.min(this.segmentBytes, FIRST_SEGMENT_BYTES * 2 ** Math.max(0, sequence - 2)),
      fd: undefined,
      state: 'planned',
      needed: false,
      failure: undefined,
    };
    this.segments.push(segment);
    this.make(segment);
  }

  /** One at a time, in order. */
  private make(segment: Segment): void {
    segment.failure = undefined;
    this.making = this.making.then(async () => {
      try {
        if (this.failure !== undefined) return;
        if (this.closing !== undefined && !segment.needed) throw new Error('the log is closed');
        segment.fd = await this.makeFile(segment);
        segment.state = 'ready';
        this.flush();
      } catch (error) {
        segment.failure = error as Error;
        // A full disk matters only when there is no place left for a write; until then compaction may free one.
        if (segment.needed) this.fail(segment.failure);
      }
    });
  }

  private async makeFile(segment: Segment): Promise<number> {
    const oldest = this.segments[0] as Segment;
    if (oldest.state === 'free' && oldest.bytes === segment.bytes) {
      await giveUpSegment(this.directory, oldest.path);
      this.segments.shift();
      return reuseSegment(this.directory, segment, segment.bytes, this.sync);
    }
    return createSegment(this.directory, segment, segment.bytes, this.sync);
  }

  /** A write has come to a segment that is not there yet. */
  private demand(segment: Segment): void {
    segment.needed = true;
    if (segment.failure !== undefined) this.make(segment);
  }

  private closeFullSegments(): void {
    const inUse = (this.inFlight ?? this.batches[0])?.segment ?? (this.current as Segment);
    for (const segment of this.segments) {
      if (segment === inUse) break;
      if (segment.state !== 'ready') continue;
      segment.state = 'full';
      this.closeFile(segment);
      this.freeOldSegments();
    }
  }

  private closeFile(segment: Segment): void {
    const { fd } = segment;
    segment.fd = undefined;
    if (fd !== undefined) closeSegment(fd).catch((error: Error) => this.fail(error));
  }

  release(_durable: ReadonlyMap<PartitionId, number>): void {
    // What is needed follows from the starts in the log itself, which the host writes only below what its engine has durably;
    // this call is the moment at which much may have become unneeded.
    this.freeOldSegments();
  }

  private freeOldSegments(): void {
    if (this.freeing !== undefined || this.failure !== undefined || this.closing !== undefined) return;
    if (this.oldestToFree() === undefined) return;
    this.freeing = this.freeAsync()
      .catch((error: Error) => this.fail(error))
      .finally(() => {
        this.freeing = undefined;
        this.finishClosing();
      });
  }

  private async freeAsync(): Promise<void> {
    for (;;) {
      const segment = this.oldestToFree();
      if (segment === undefined || this.closing !== undefined) break;
      await this.carryOn(segment);
      if (this.failure !== undefined) return;
      assert(this.index.liveBytes(segment.sequence) === 0, 'what a segment still held was carried on');
      segment.state = 'free';
      this.removeSurplus();
    }
  }

  /** The oldest full segment, if so little of it is needed that carrying that on pays. */
  private oldestToFree(): Segment | undefined {
    const full = this.segments.filter(segment => segment.state === 'full');
    const oldest = full[0];
    if (oldest === undefined) return undefined;
    const live = this.index.liveBytes(oldest.sequence);
    if (live === 0) return oldest;
    if (full.length <= UNTOUCHED_FULL) return undefined;
    if (live <= oldest.bytes / 4) return oldest;
    // A well-filled oldest segment must not pin a long tail of emptied ones: at half empty over all, a full round gains half of it.
    const used = full.reduce((sum, segment) => sum + this.index.liveBytes(segment.sequence), 0);
    const total = full.reduce((sum, segment) => sum + segment.bytes, 0);
    return full.length >= 4 && used <= total / 2 ? oldest : undefined;
  }

  /** Appends again what only this segment holds, and waits until that, and all that made the rest unneeded, is durable. */
  private async carryOn(segment: Segment): Promise<void> {
    const { sequence } = segment;
    for (const record of this.index.statesIn(sequence)) this.plan(record, true);
    const bound = this.index.clockBoundIn(sequence);
    if (bound !== undefined) this.planClockBound(bound);
    if (this.index.liveBytes(sequence) > 0) await this.carryEntries(segment);
    await this.everythingDurable();
  }

  private async carryEntries(segment: Segment): Promise<void> {
    const buffer = await readFile(segment.path);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    let offset = PAGE_BYTES;
    let step = 0;
    let turn = 0;
    while (this.index.liveBytes(segment.sequence) > 0) {
      if (this.failure !== undefined) return;
      const write = readWrite(buffer, view, offset, segment);
      if (write.kind !== 'valid') throw new LogCorruptionError(segment.path, offset, 'a write that is still needed is damaged');
      step += this.carryCurrent(write.payload, segment.sequence);
      turn += write.nextOffset - offset;
      offset = write.nextOffset;
      if (step >= CARRY_STEP_BYTES) {
        await this.everythingDurable();
        step = 0;
      } else if (turn >= CARRY_STEP_BYTES) {
        await nextTurn();
        turn = 0;
      }
    }
  }

  /** Returns the bytes carried on. */
  private carryCurrent(payload: Uint8Array, sequence: number): number {
    let bytes = 0;
    decodeItems(payload, {
      record: record => {
        for (const current of this.index.currentEntries(record, sequence)) {
          bytes += recordBytesAtMost(current);
          this.plan(current, true);
        }
      },
      clockBound: () => undefined,
    });
    return bytes;
  }

  private everythingDurable(): Promise<void> {
    return new Promise((resolve, reject) => {
      const last = this.newestBatch;
      if (this.failure !== undefined) reject(this.failure);
      else if (last === undefined) resolve();
      else {
        last.callbacks.push(error => (error === undefined ? resolve() : reject(error)));
        this.scheduleFlush();
      }
    });
  }

  /** In turn with the making of segments, which takes the oldest too: were a younger one gone before an older one, recovery would find a hole. */
  private removeSurplus(): void {
    this.making = this.making
      .then(async () => {
        while (this.segments.filter(segment => segment.state === 'free').length > KEPT_FREE) {
          const oldest = this.segments[0] as Segment;
          await removeSegment(this.directory, oldest.path, this.sync);
          this.segments.shift();
        }
      })
      .catch((error: Error) => this.fail(error));
  }

  // ---- closing -------------------------------------------------------------------------------------------------------------

  close(done: (error: Error | undefined) => void): void {
    assert(this.closing === undefined, 'the log is closed once');
    this.closing = done;
    this.finishClosing();
  }

  /** What was appended is written first; then files and thread go. */
  private finishClosing(): void {
    const done = this.closing;
    const idle = this.batches.length === 0 && !this.writer.busy && this.freeing === undefined;
    if (done === undefined || !idle || this.closed) return;
    this.closed = true;
    this.making.then(() => {
      for (const segment of this.segments) this.closeFile(segment);
      this.writer.close(() => this.deferred.push(() => done(this.failure)));
    });
  }
}

/** Bytes around the entries of a record without start. */
const STATE_BYTES_AT_MOST = 128;

function recovered(segment: RecoveredFiles['segments'][number], full: boolean): Segment {
  return { ...segment, fd: undefined, state: full ? 'full' : 'ready', needed: false, failure: undefined };
}

function partsOf(entries: readonly Entry[], limit: number): Entry[][] {
  const parts: Entry[][] = [];
  let bytes = limit;
  for (const entry of entries) {
    const size = entryBytesAtMost(entry);
    if (bytes + size > limit) {
      parts.push([]);
      bytes = 0;
    }
    (parts[parts.length - 1] as Entry[]).push(entry);
    bytes += size;
  }
  return parts;
}
