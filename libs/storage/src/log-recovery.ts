import { readFile } from 'node:fs/promises';
import { DecodeError, plainBytes } from '@kahuna/base';
import type { RecoveredLog } from '@kahuna/node';
import { GroupFold } from './group-fold.ts';
import { decodeItems, type LogItems } from './log-codec.ts';
import { LogIndex } from './log-index.ts';
import { listSegments, type SegmentFile } from './segment-files.ts';
import { decodeSegmentHeader, LogCorruptionError, PAGE_BYTES, readWrite, type SegmentIdentity } from './segment-format.ts';

/** A place in the log's files. */
export interface LogPlace {
  readonly file: string;
  readonly offset: number;
}

export interface RecoveredSegment extends SegmentIdentity {
  readonly path: string;
  readonly bytes: number;
}

/** What the files of a log hold, and where writing goes on. */
export interface RecoveredFiles {
  readonly log: RecoveredLog;
  readonly index: LogIndex;
  readonly segments: readonly RecoveredSegment[];
  readonly nextWriteNumber: number;
  /** Position in `segments` of the one to write next; the ones behind it are spares. 0 if there are none. */
  readonly current: number;
  readonly offset: number;
  /** The last write that is whole, as it was read, and where in segment `current` it stands. undefined: there is none. */
  readonly lastWrite: { readonly bytes: Uint8Array; readonly offset: number } | undefined;
  /** The last write was torn and is left out. */
  readonly tornTail: LogPlace | undefined;
}

/**
 * Reads a log back. Where the next write ought to be and is not, either the log ends, perhaps in a torn write, or something was damaged: it
 * is damage exactly if a write with a higher number is found anywhere behind, because only one write is ever under way.
 */
export async function recoverFiles(directory: string): Promise<RecoveredFiles> {
  const recovery = new Recovery();
  const files = await listSegments(directory);
  for (const file of files) recovery.readSegment(file, plainBytes(await readFile(file.path)));
  return recovery.result();
}

class Recovery implements LogItems {
  private readonly fold = new GroupFold();
  private readonly index = new LogIndex();
  private readonly segments: RecoveredSegment[] = [];
  private sequence = 0;
  /** Number of the write that comes next; undefined before the first one, which may have any. */
  private expected: number | undefined;
  /** Where that write ought to be and is not. */
  private missing: (LogPlace & { readonly bad: boolean }) | undefined;
  private current = 0;
  private offset = PAGE_BYTES;
  private lastWrite: RecoveredFiles['lastWrite'];

  readSegment(file: SegmentFile, buffer: Uint8Array): void {
    const identity = decodeSegmentHeader(file.path, buffer);
    if (identity.sequence !== file.sequence)
      throw new LogCorruptionError(file.path, 0, 'segment header contradicts the file name');
    this.sequence = identity.sequence;
    this.segments.push({ ...identity, path: file.path, bytes: buffer.length });
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    let offset = PAGE_BYTES;
    let lastOffset = offset;
    for (;;) {
      const write = readWrite(buffer, view, offset, identity);
      if (write.kind !== 'valid') {
        this.endOfSegment(file.path, buffer, view, offset, identity, write.kind === 'bad');
        break;
      }
      this.checkNumber(file.path, offset, write.writeNumber);
      this.readItems(file.path, offset, write.payload);
      lastOffset = offset;
      offset = write.nextOffset;
      this.current = this.segments.length - 1;
      this.offset = offset;
    }
    if (offset > lastOffset) this.lastWrite = { bytes: buffer.slice(lastOffset, offset), offset: lastOffset };
    this.fold.detach(buffer.buffer);
  }

  private checkNumber(file: string, offset: number, number: number): void {
    if (this.expected !== undefined && number !== this.expected) {
      const at = this.missing ?? { file, offset };
      throw new LogCorruptionError(
        at.file,
        at.offset,
        `write ${this.expected} is damaged or missing, but write ${number} follows`,
      );
    }
    this.expected = number + 1;
    this.missing = undefined;
  }

  private readItems(file: string, offset: number, payload: Uint8Array): void {
    try {
      decodeItems(payload, this);
    } catch (error) {
      if (error instanceof DecodeError) throw new LogCorruptionError(file, offset, `unreadable write (${error.message})`);
      throw error;
    }
  }

  record(...[record, carried]: Parameters<LogItems['record']>): void {
    this.fold.apply(record, carried);
    this.index.apply(record, this.sequence, carried);
  }

  clockBound(ms: number): void {
    this.index.applyClockBound(ms, this.sequence);
  }

  /** No valid write begins at `offset`: then none may begin anywhere behind it in this segment. */
  private endOfSegment(
    file: string,
    buffer: Uint8Array,
    view: DataView,
    offset: number,
    identity: SegmentIdentity,
    bad: boolean,
  ): void {
    for (let later = offset + PAGE_BYTES; later < buffer.length; later += PAGE_BYTES) {
      if (readWrite(buffer, view, later, identity).kind === 'valid') {
        throw new LogCorruptionError(file, offset, `damaged write, but a valid one follows at offset ${later}`);
      }
    }
    this.missing ??= { file, offset, bad };
  }

  result(): RecoveredFiles {
    const { index, segments, current, offset, lastWrite, missing } = this;
    return {
      log: { groups: this.fold.groups(), clockBoundMs: index.clockBoundMs },
      index,
      segments,
      nextWriteNumber: this.expected ?? 1,
      current,
      offset,
      lastWrite,
      tornTail: missing?.bad ? { file: missing.file, offset: missing.offset } : undefined,
    };
  }
}
