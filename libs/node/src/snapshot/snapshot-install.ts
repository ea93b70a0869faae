import { ByteReader, ByteWriter, type LogIndex, type PartitionId, RowBatch, type Term } from '@kahuna/base';
import { type Configuration, readConfiguration, writeConfiguration } from '@kahuna/raft';
import type { EngineRange, EngineRow, ScanPage, StateEngine } from '../ports.ts';

/** Where a snapshot in arrival is kept: outside every partition's extent, so that nothing reads or replaces it by accident. */
const STAGED = 0xf0;
/** One row per partition while a completely staged snapshot is being put in place of the old state. */
const MARK = 0xf1;
/** One row per partition whose replica here is known to hold another state than a quorum. Belongs to the node, so no snapshot carries it. */
const DIVERGED = 0xf2;
const PREFIX_BYTES = 5;
const COPY_ROWS = 1000;
const COPY_BYTES = 1024 * 1024;

/** Which state a snapshot holds. */
export interface SnapshotHead {
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
}

type Done = (error: Error | undefined) => void;

function prefix(family: number, partitionId: PartitionId): Uint8Array {
  const key = new Uint8Array(PREFIX_BYTES);
  key[0] = family;
  new DataView(key.buffer).setUint32(1, partitionId);
  return key;
}

function stagedRange(partitionId: PartitionId): EngineRange {
  return { from: prefix(STAGED, partitionId), to: prefix(STAGED, partitionId + 1) };
}

export function markKey(partitionId: PartitionId): Uint8Array {
  return prefix(MARK, partitionId);
}

export function divergedKey(partitionId: PartitionId): Uint8Array {
  return prefix(DIVERGED, partitionId);
}

/** From the moment this is durable no later process serves or leads from that state ({@link unmark} ends it). */
export function markDiverged(engine: StateEngine, partitionId: PartitionId, index: LogIndex, done: Done): void {
  const writer = new ByteWriter(16);
  writer.varint(index);
  engine.write(RowBatch.of([{ key: divergedKey(partitionId), value: writer.finish() }]), error => {
    if (error !== undefined) done(error);
    else engine.sync(done);
  });
}

export function decodeMark(row: Uint8Array): SnapshotHead {
  const reader = new ByteReader(row);
  const index = reader.varint();
  const term = reader.varint();
  return { index, term, configuration: readConfiguration(reader) };
}

function encodeMark(head: SnapshotHead): Uint8Array {
  const writer = new ByteWriter(256);
  writer.varint(head.index);
  writer.varint(head.term);
  writeConfiguration(writer, head.configuration);
  return writer.finish();
}

function stagedKey(partitionId: PartitionId, key: Uint8Array): Uint8Array {
  const staged = new Uint8Array(PREFIX_BYTES + key.length);
  staged.set(prefix(STAGED, partitionId));
  staged.set(key, PREFIX_BYTES);
  return staged;
}

/** Forgets what an earlier, interrupted transfer left. */
export function clearStaged(engine: StateEngine, partitionId: PartitionId, done: Done): void {
  engine.deleteRange(stagedRange(partitionId), done);
}

export function stageRows(engine: StateEngine, partitionId: PartitionId, rows: readonly EngineRow[], done: Done): void {
  engine.write(RowBatch.of(rows.map(row => ({ key: stagedKey(partitionId, row.key), value: row.value }))), done);
}

/** Everything is staged: from the moment this is durable the old state is void, and a restart goes on with {@link putInPlace}. */
export function markStaged(engine: StateEngine, partitionId: PartitionId, head: SnapshotHead, done: Done): void {
  engine.write(RowBatch.of([{ key: markKey(partitionId), value: encodeMark(head) }]), error => {
    if (error !== undefined) done(error);
    else engine.sync(done);
  });
}

/**
 * Replaces the extent by the staged rows and makes that durable. Idempotent: interrupted at any point it is begun anew, because the
 * staged rows stay until {@link unmark}.
 */
export function putInPlace(engine: StateEngine, partitionId: PartitionId, extent: readonly EngineRange[], done: Done): void {
  const copyFrom = (from: Uint8Array): void => {
    engine.scan({ from, to: stagedRange(partitionId).to, maxRows: COPY_ROWS, maxBytes: COPY_BYTES }, (error, page) => {
      if (error !== undefined) done(error);
      else copyPage(page);
    });
  };
  const copyPage = (page: ScanPage): void => {
    const rows = page.rows.map(row => ({ key: row.key.subarray(PREFIX_BYTES), value: row.value }));
    engine.write(RowBatch.of(rows), error => {
      const last = page.rows.at(-1);
      if (error !== undefined) done(error);
      else if (page.more && last !== undefined) copyFrom(after(last.key));
      else engine.sync(done);
    });
  };
  const clear = (i: number): void => {
    const range = extent[i];
    if (range === undefined) {
      copyFrom(stagedRange(partitionId).from);
      return;
    }
    engine.deleteRange(range, error => {
      if (error !== undefined) done(error);
      else clear(i + 1);
    });
  };
  clear(0);
}

/** The log fits the snapshot: the install is over, durably, before the replica serves again. A state that had diverged is gone with it. */
export function unmark(engine: StateEngine, partitionId: PartitionId, done: Done): void {
  const rows = [markKey(partitionId), divergedKey(partitionId)].map(key => ({ key, value: undefined }));
  engine.write(RowBatch.of(rows), error => {
    if (error !== undefined) {
      done(error);
      return;
    }
    engine.sync(syncError => {
      if (syncError !== undefined) done(syncError);
      else clearStaged(engine, partitionId, done);
    });
  });
}

/** The smallest key above `key`. */
export function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
