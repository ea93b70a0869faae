import { assert, FIRST_DATA_PARTITION, type Hlc, ownBytes, type PartitionId, unreachable } from '@kahuna/base';
import { bucketOf } from '@kahuna/range-router';
import { diedAtMs, readAsOf } from '@kahuna/txn';
import {
  asOfAnswer,
  evaluateWrite,
  expiryHiding,
  hasEffect,
  isUsableKey,
  miss,
  readLatest,
  readModeOf,
  readVersion,
  result,
} from './evaluate.ts';
import { type HeadCache, KeyRecord, type RecordOwner } from './head-cache.ts';
import { MemoryScan } from './memory-scan.ts';
import {
  Durability,
  type GetOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type WriteOperation,
} from './operation.ts';
import { type PartitionQuery, type PartitionScan, PRUNED, ReadPoint } from './scan.ts';
import { SpaceIndex } from './space-index.ts';
import { SpaceNames } from './space-names.ts';
import { TopRows } from './top-rows.ts';
import type { Version } from './version.ts';

/** Versions of a record that can be read, the head among them (keyvalues §10.1). */
export const EPHEMERAL_VERSIONS = 16;
/** A dead head keeps its counter at least so long (keyvalues §6.1). Milliseconds. */
export const EPHEMERAL_DEAD_MS = 60_000;

export interface EphemeralTableOptions {
  readonly partitionId: PartitionId;
  readonly poolSize: number;
  /** Budget shared by all tables of the node; not the one of persistent heads. */
  readonly cache: HeadCache;
}

/**
 * Ephemeral records of one partition, in the memory of its leader: one table per term led, dropped with the leadership and never
 * brought back. The rules are those of persistent records; only the log, the engine and the long history are missing. An answer
 * may leave the node only if leadership held after it was evaluated.
 */
export class EphemeralTable implements RecordOwner {
  private readonly bucket: number;
  private readonly poolSize: number;
  private readonly cache: HeadCache;
  private readonly records = new Map<string, KeyRecord>();
  private readonly spaces = new SpaceIndex();

  constructor(options: EphemeralTableOptions) {
    this.bucket = options.partitionId - FIRST_DATA_PARTITION;
    this.poolSize = options.poolSize;
    this.cache = options.cache;
    assert(this.bucket >= 0 && this.bucket < this.poolSize, 'ephemeral records live in the hash pool');
  }

  get size(): number {
    return this.records.size;
  }

  /** Evaluates one operation now: `stamp` is freshly minted by the leader, above every one before it. */
  execute(operation: Operation, stamp: Hlc): OperationResult {
    if (operation.durability !== Durability.Ephemeral || !isUsableKey(operation.key)) return result(ResponseType.InvalidInput, 0);
    const record = this.records.get(operation.key);
    if (record === undefined && bucketOf(operation.key, this.poolSize) !== this.bucket) return result(ResponseType.MustRetry, 0);
    if (record !== undefined) record.used = true;
    if (isRead(operation)) return this.read(record, operation, stamp.l);
    if (record === undefined && this.cache.overloaded) {
      this.cache.shrink(stamp.l);
      return result(ResponseType.MustRetry, 0);
    }
    const answer = this.write(record ?? new KeyRecord(operation.key, this), operation, stamp);
    this.cache.shrink(stamp.l);
    return answer;
  }

  private write(record: KeyRecord, operation: WriteOperation, stamp: Hlc): OperationResult {
    const before = record.current;
    const answer = evaluateWrite(record, operation, stamp);
    if (!hasEffect(answer.type) || record.current === before) return answer;
    const head = record.current as Version;
    head.value = head.value && ownBytes(head.value);
    if (before === undefined) {
      this.records.set(record.key, record);
      this.spaces.add(record);
      this.cache.add(record);
      this.cache.release(record);
    }
    this.cache.grow(record, head.value?.length ?? 0);
    // Every sixteenth set cuts the chain, so that the walk costs a step per set; reads go by the revision, not by what is linked.
    if (head.revision % EPHEMERAL_VERSIONS === 0) this.trim(record, head);
    return answer;
  }

  private trim(record: KeyRecord, head: Version): void {
    let bytes = 0;
    for (let version: Version | undefined = head; version !== undefined; version = version.older) {
      bytes += version.value?.length ?? 0;
      if (version.revision <= oldestReadable(head)) version.older = undefined;
    }
    this.cache.resize(record, bytes);
  }

  private read(record: KeyRecord | undefined, operation: GetOperation, nowMs: number): OperationResult {
    const mode = readModeOf(operation);
    switch (mode) {
      case undefined:
        return result(ResponseType.InvalidInput, 0);
      case 'latest':
        return record === undefined ? miss(-1) : readLatest(record, operation, nowMs);
      case 'at-revision':
        return readRevision(record?.current, operation);
      case 'as-of':
        return asOf(record?.current, operation);
      default:
        return unreachable(mode, 'read mode');
    }
  }

  /** Reads many keys at this instant. */
  scan(query: PartitionQuery, nowMs: number): PartitionScan {
    const { shape } = query;
    if (shape.kind === 'spaces') return new SpaceNames(-1, shape, query, this.spaces.counts(shape));
    const point = new ReadPoint(query, nowMs);
    const top = new TopRows(query.maxRows);
    let looked = 0;
    for (const record of this.spaces.covered(shape)) {
      looked++;
      if (!top.takes(record.key)) continue;
      const head = record.current as Version;
      const { key, row, below } = point.capture(record.key, head, record.lastUsed, oldestReadable(head));
      const shown = below >= 0 ? PRUNED : row;
      if (shown !== undefined) top.add({ key, durability: Durability.Ephemeral, result: shown });
    }
    return new MemoryScan(point, top, looked);
  }

  /** As {@link PartitionMachine.expiredAt}. */
  expiredAt(operation: GetOperation, nowMs: number): number {
    return readModeOf(operation) === 'latest' ? expiryHiding(this.records.get(operation.key)?.current, nowMs) : 0;
  }

  mayEvict(record: KeyRecord, nowMs: number): boolean {
    const died = diedAtMs(record.current as Version, nowMs);
    return died === undefined || nowMs - died >= EPHEMERAL_DEAD_MS;
  }

  evicted(record: KeyRecord): void {
    this.records.delete(record.key);
    this.spaces.remove(record);
  }

  /** Leadership is over. */
  drop(): void {
    for (const record of this.records.values()) this.cache.remove(record);
    this.records.clear();
    this.spaces.clear();
  }
}

function oldestReadable(head: Version): number {
  return Math.max(0, head.revision - EPHEMERAL_VERSIONS + 1);
}

function readRevision(head: Version | undefined, operation: GetOperation): OperationResult {
  const { revision } = operation;
  if (head === undefined || revision > head.revision || revision < oldestReadable(head)) return miss(revision);
  let version: Version | undefined = head;
  while (version !== undefined && version.revision > revision) version = version.older;
  return version === undefined ? miss(revision) : readVersion(operation, version, version !== head);
}

function asOf(head: Version | undefined, operation: GetOperation): OperationResult {
  const kept: Version[] = [];
  const oldest = head === undefined ? 0 : oldestReadable(head);
  for (let version = head; version !== undefined && version.revision >= oldest; version = version.older) kept.push(version);
  const outcome = readAsOf(kept.reverse(), operation.readTimestamp);
  switch (outcome.kind) {
    case 'visible':
    case 'absent':
      return asOfAnswer(operation, outcome.version, outcome.version !== head);
    case 'never-written':
      return miss(-1);
    case 'pruned':
      return result(ResponseType.Aborted, 0);
    default:
      return unreachable(outcome, 'as-of outcome');
  }
}

function isRead(operation: Operation): operation is GetOperation {
  return operation.kind === 'get' || operation.kind === 'exists';
}
