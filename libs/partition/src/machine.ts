import {
  assert,
  compareHlc,
  FIRST_DATA_PARTITION,
  type Hlc,
  type LogIndex,
  META_PARTITION,
  type PartitionId,
  type RowBatch,
  SYSTEM_PARTITION,
  stampAfter,
  type Term,
  unreachable,
} from '@kahuna/base';
import type { Configuration } from '@kahuna/raft';
import { bucketOf } from '@kahuna/range-router';
import { AnswerMemory } from './answer-memory.ts';
import { ByteHasher } from './checksum.ts';
import { describeMember, foundCluster, foundRangeMap } from './cluster-commands.ts';
import { digestAnswer, digestHead, digestLock, digestSequence, digestTime, digestWords } from './digest.ts';
import { evaluateWrite, expiryHiding, hasEffect, isUsableKey, readLatest, readModeOf, result } from './evaluate.ts';
import type { HeadCache, KeyRecord } from './head-cache.ts';
import { openHeadScan } from './head-scan.ts';
import type { HoldCommand, PruneHistory, RaiseCeiling } from './history-commands.ts';
import { HistoryReads } from './history-reads.ts';
import { evaluateHold, type HoldState } from './holds.ts';
import type { ListingQuery } from './listing.ts';
import type { ListingScan } from './listing-scan.ts';
import type { LockOperation } from './lock-operation.ts';
import type { Lock } from './locks.ts';
import { decodeMetaRow, emptyGroupState, type GroupState, writeMetaRow } from './meta-row.ts';
import { isLockName, isName, NameTables } from './name-tables.ts';
import { Durability, type GetOperation, type OperationResult, ResponseType, type WriteOperation } from './operation.ts';
import { Prunings } from './prunings.ts';
import { RecordTable } from './record-table.ts';
import type { NamedRow } from './row-table.ts';
import { type CapturedRow, covers, type PartitionQuery, type PartitionScan, ReadPoint } from './scan.ts';
import { type SequenceGet, SequenceResponseType } from './sequence-operation.ts';
import { type SequenceCommand, type SequenceRecord, sequenceAnswer } from './sequences.ts';
import { BUCKET_FAMILIES, Family, familyInterval, type Interval, metaRowKey } from './stored-keys.ts';
import type {
  Command,
  CommandBatch,
  CommandPolicy,
  EntryNeed,
  FetchedRow,
  FlushBatch,
  MetaState,
  OperationId,
  PartitionMachine,
  ReadNeed,
  ReadOperation,
  StoredKey,
  SystemState,
} from './types.ts';
import { FEATURE_LEVEL } from './types.ts';
import type { Version } from './version.ts';
import { type CapturedKey, type ChangeObserver, copyOf, type NameObserver, type PastVersion } from './watch.ts';

/**
 * Replicated state of one partition: its keys, locks and sequences, and for partitions 0 and 1 the cluster's own state.
 *
 *     needs ──▶ supply ──▶ apply        one entry after the other: each command evaluated, digested, remembered, told to observers
 *     read, openScan, openListing       from memory, or what must be fetched before
 *     takeFlush ──▶ flushed             what memory is ahead of the engine, in one batch with the applied index
 *
 * What memory holds in front of the engine: `record-table.ts` (keys), `name-tables.ts` (locks and sequences), `prunings.ts`. What
 * commands do: `evaluate.ts`, `locks.ts`, `sequences.ts`, `holds.ts`, `cluster-commands.ts`; what of it the checksum covers: `digest.ts`.
 * Reads of the past: `history-reads.ts`; of many keys: `head-scan.ts`.
 *
 *  P1 `appliedIndex` grows by exactly one per entry.
 *  P2 Every record's key belongs to this partition's bucket; a write to another key is refused without effect.
 *  P3 Stamps grow with the log index; within a record commits and tombstones grow with revisions.
 *  P4 What a flush has not made durable in the engine is in memory: a dirty or flushing record is never evicted, and the versions
 *     it superseded since hang on it.
 *  P5 Results, records and checksum depend on the entries alone, never on what is cached, evicted, flushed or remembered.
 */

const NO_KEYS: readonly StoredKey[] = Object.freeze([]);
const DEFAULT_ANSWER_CAPACITY = 16_384;

export interface PartitionMachineOptions {
  readonly partitionId: PartitionId;
  /** Hash pool of the cluster; not used by partitions 0 and 1, which hold no keys. */
  readonly poolSize?: number;
  /** Shared by all partitions of the node. */
  readonly headCache: HeadCache;
  /** The row under {@link metaRowKey}, undefined if the engine has none (a partition that is being founded). */
  readonly metaRow?: Uint8Array | undefined;
  /** Answers remembered by identity, at most. */
  readonly answerCapacity?: number;
}

export function createPartitionMachine(options: PartitionMachineOptions): KeyValueMachine {
  return new KeyValueMachine(options);
}

export class KeyValueMachine implements PartitionMachine {
  readonly partitionId: PartitionId;
  /** Bucket of the hash pool that this partition owns; -1 if it owns no keys. */
  readonly bucket: number;
  private readonly poolSize: number;
  private readonly cache: HeadCache;
  private readonly answerCapacity: number;
  private readonly hasher = new ByteHasher();

  private state: GroupState;
  private answers: AnswerMemory;
  private readonly records: RecordTable;
  private readonly prunings = new Prunings();
  private readonly history: HistoryReads;
  /** Locks and sequences; partitions 0 and 1 have none. */
  private readonly tables: NameTables | undefined;
  /** Under way to the engine. */
  private flush: FlushBatch | undefined;
  private takenIndex: LogIndex;
  /** Told the key whenever a version is superseded, for pruning after writes; the leader's business, not the state's. */
  onSuperseded: ((key: string) => void) | undefined = undefined;
  /** Told every change while somebody watches. */
  observer: ChangeObserver | undefined = undefined;
  /** Told of every lock and sequence, watched or not. */
  names: NameObserver | undefined = undefined;

  constructor(options: PartitionMachineOptions) {
    this.partitionId = options.partitionId;
    this.poolSize = options.poolSize ?? 0;
    const bucket = options.partitionId - FIRST_DATA_PARTITION;
    this.bucket = bucket >= 0 ? bucket : -1;
    assert(bucket < 0 || bucket < this.poolSize, 'a data partition lies in the hash pool');
    this.cache = options.headCache;
    this.answerCapacity = options.answerCapacity ?? DEFAULT_ANSWER_CAPACITY;
    this.records = new RecordTable(this.bucket, this.cache);
    this.history = new HistoryReads(this.bucket, this.records, this.prunings);
    if (bucket >= 0) this.tables = new NameTables(bucket, this.cache, this);
    this.state = options.metaRow === undefined ? emptyGroupState() : decodeMetaRow(options.metaRow);
    this.answers = new AnswerMemory(this.answerCapacity, this.state.lastStamp);
    this.takenIndex = this.state.appliedIndex;
  }

  get appliedIndex(): LogIndex {
    return this.state.appliedIndex;
  }

  get appliedTerm(): Term {
    return this.state.appliedTerm;
  }

  get lastStamp(): Hlc {
    return this.state.lastStamp;
  }

  get checksum(): number {
    return this.state.checksum;
  }

  get keyCount(): number {
    return this.state.keyCount;
  }

  get system(): SystemState | undefined {
    return this.state.system;
  }

  get meta(): MetaState | undefined {
    return this.state.meta;
  }

  /** Last applied configuration, or that of the group row; undefined if neither had one. */
  get configuration(): Configuration | undefined {
    return this.state.configuration;
  }

  get dirtyRecords(): number {
    return this.records.dirtyRecords + (this.tables?.dirtyRows ?? 0);
  }

  // ---- apply ---------------------------------------------------------------------------------------------------------------

  needs(batch: CommandBatch): readonly StoredKey[] {
    let keys: Set<StoredKey> | undefined;
    for (let i = 0; i < batch.proposals.length; i++) {
      const command = batch.proposals[i]?.command as Command;
      if (!isWrite(command)) {
        const key = this.needsOfName(command);
        if (key === undefined) continue;
        keys ??= new Set();
        keys.add(key);
        continue;
      }
      const record = this.records.get(command.key) ?? this.ask(command.key, command.durability);
      if (record?.asked === undefined) continue;
      this.records.pin(record);
      keys ??= new Set();
      keys.add(record.asked);
    }
    return keys === undefined ? NO_KEYS : [...keys];
  }

  /** The row of a lock or a sequence, if it must be fetched. */
  private needsOfName(command: Command): StoredKey | undefined {
    if (isLock(command)) return this.tables?.pinLock(command);
    return isSequence(command) ? this.tables?.pinSequence(command) : undefined;
  }

  supply(rows: readonly FetchedRow[]): void {
    for (const row of rows) {
      const family = row.key[0];
      if (family === Family.Locks || family === Family.Sequences) this.tables?.supply(row);
      else this.records.supply(row);
    }
  }

  apply(index: LogIndex, term: Term, batch: CommandBatch): OperationResult[] {
    assert(batch.level <= FEATURE_LEVEL, 'an entry of a later feature level is not applied');
    assert(compareHlc(batch.stamp, this.state.lastStamp) > 0, 'P3: stamps grow with the log index');
    this.advance(index, term);
    const { proposals } = batch;
    const results: OperationResult[] = new Array(proposals.length);
    let stamp = batch.stamp;
    for (let i = 0; i < proposals.length; i++) {
      const proposal = proposals[i] as CommandBatch['proposals'][number];
      if (i > 0) stamp = stampAfter(batch.stamp, i);
      const answer = this.applyCommand(proposal.command, stamp, batch.policy);
      results[i] = answer;
      this.answers.add(proposal.id, stamp, answer);
    }
    this.state.lastStamp = stamp;
    this.observer?.advanced(stamp);
    this.records.unpin();
    this.tables?.unpin();
    this.cache.shrink(this.state.lastStamp.l);
    return results;
  }

  applyEmpty(index: LogIndex, term: Term, configuration: Configuration | undefined): void {
    this.advance(index, term);
    if (configuration !== undefined) this.state.configuration = configuration;
  }

  private advance(index: LogIndex, term: Term): void {
    assert(index === this.state.appliedIndex + 1, 'P1: entries are applied one after the other');
    assert(term >= this.state.appliedTerm, 'terms do not shrink along the log');
    this.state.appliedIndex = index;
    this.state.appliedTerm = term;
  }

  private applyCommand(command: Command, stamp: Hlc, policy: CommandPolicy | undefined): OperationResult {
    switch (command.kind) {
      case 'set':
      case 'delete':
      case 'extend':
        return this.applyWrite(command, stamp);
      case 'lock-acquire':
      case 'lock-extend':
      case 'lock-release':
      case 'lock-info':
        return this.applyLock(command, stamp, policy);
      case 'sequence-create':
      case 'sequence-update':
      case 'sequence-delete':
      case 'sequence-allocate':
        return this.applySequence(command, stamp, policy);
      case 'hold-acquire':
      case 'hold-renew':
      case 'hold-release':
      case 'hold-floor':
      case 'raise-ceiling':
        return this.applyHold(command, stamp);
      case 'prune-history':
        return this.applyPrune(command, stamp);
      case 'found-cluster':
        return this.setIf(this.partitionId === SYSTEM_PARTITION && foundCluster(this.state, command), stamp);
      case 'describe-member':
        return this.setIf(describeMember(this.state, command), stamp);
      case 'found-range-map':
        return this.setIf(this.partitionId === META_PARTITION && foundRangeMap(this.state), stamp);
      default:
        return unreachable(command, 'command');
    }
  }

  private applyWrite(operation: WriteOperation, stamp: Hlc): OperationResult {
    const record = this.records.get(operation.key);
    if (record === undefined || operation.durability !== Durability.Persistent) return this.refuse(operation, stamp);
    assert(record.asked === undefined, 'the heads of an entry are supplied before it is applied');
    const before = record.current;
    const answer = evaluateWrite(record, operation, stamp);
    this.digestAnswer(answer, stamp);
    if (hasEffect(answer.type)) {
      const head = record.current as Version;
      this.changed(record, before);
      this.observer?.changed(operation.kind, record.key, head, stamp);
      this.state.checksum = digestHead(this.state.checksum, head, operation.kind === 'set', this.hasher);
    }
    record.used = true;
    return answer;
  }

  /** A key that has no record after `needs` is one this partition does not take. */
  private refuse(operation: WriteOperation, stamp: Hlc): OperationResult {
    const valid = operation.durability === Durability.Persistent && isUsableKey(operation.key);
    assert(!valid || !this.owns(operation.key), 'the heads of an entry are asked for before it is applied');
    const answer = result(valid ? ResponseType.MustRetry : ResponseType.InvalidInput, 0);
    this.digestAnswer(answer, stamp);
    return answer;
  }

  private applyLock(command: LockOperation, stamp: Hlc, policy: CommandPolicy | undefined): OperationResult {
    assert(policy !== undefined, 'an entry with lock commands carries its policy');
    const applied = this.tables?.executeLock(command, stamp, this.state.appliedTerm, policy.lockSkewMs);
    if (applied === undefined) return this.refuseName(isLockName(command), stamp);
    const { answer, before, changed } = applied;
    this.digestAnswer(answer, stamp);
    if (changed !== undefined) {
      this.observer?.lockChanged(command.key, before, changed, stamp);
      this.names?.lockChanged(command.key, before, changed, stamp);
      this.state.checksum = digestLock(this.state.checksum, changed, this.hasher);
    }
    return answer;
  }

  private applySequence(command: SequenceCommand, stamp: Hlc, policy: CommandPolicy | undefined): OperationResult {
    assert(policy !== undefined, 'an entry with sequence commands carries its policy');
    const applied = this.tables?.executeSequence(command, stamp, policy);
    if (applied === undefined) return this.refuseName(isName(command.key), stamp);
    const { answer, changed } = applied;
    this.digestAnswer(answer, stamp);
    if (changed !== undefined) {
      this.state.checksum = digestSequence(this.state.checksum, changed);
      this.observer?.sequenceChanged(command, changed, stamp);
      this.names?.sequenceChanged(command.key);
    }
    return answer;
  }

  /** The numbers of refusals are the same for locks and sequences. */
  private refuseName(valid: boolean, stamp: Hlc): OperationResult {
    const answer = result(valid ? ResponseType.MustRetry : ResponseType.InvalidInput, 0);
    this.digestAnswer(answer, stamp);
    return answer;
  }

  private changed(record: KeyRecord, before: Version | undefined): void {
    if (before === undefined) this.state.keyCount++;
    this.records.changed(record, before);
    if (before !== undefined && record.current !== before) this.onSuperseded?.(record.key);
  }

  private digestAnswer(answer: OperationResult, stamp: Hlc): void {
    this.state.checksum = digestAnswer(this.state.checksum, answer, stamp);
  }

  private digestTime(t: Hlc, word: number): void {
    this.state.checksum = digestTime(this.state.checksum, t, word);
  }

  private applyHold(command: HoldCommand | RaiseCeiling, stamp: Hlc): OperationResult {
    if (this.partitionId !== META_PARTITION) return this.systemAnswer(ResponseType.MustRetry, stamp);
    const { state, answer } = evaluateHold(this.state.holds, command, stamp);
    this.state.holds = state;
    this.digestAnswer(answer, stamp);
    if (command.kind === 'hold-acquire') this.digestTime(command.timestamp, command.newHoldId.length);
    this.digestTime(answer.expires, state.holds.length);
    this.digestTime(answer.lastModified, 0);
    this.digestTime(state.ceiling, 0);
    return answer;
  }

  /** The floor rises with the entry, which a quorum holds; the rows go with the flush that carries it (keyvalues §10.2). */
  private applyPrune(command: PruneHistory, stamp: Hlc): OperationResult {
    const late = command.keys.some(pruned => !this.owns(pruned.key));
    if (late || compareHlc(command.floor, command.ceiling) > 0) return this.setIf(false, stamp);
    if (compareHlc(command.floor, this.state.prunedFloor) > 0) this.state.prunedFloor = command.floor;
    this.prunings.add(command);
    for (const { key, from, below } of command.keys) {
      cutHistory(this.records.get(key)?.current, below);
      this.state.checksum = digestWords(this.state.checksum, from, below, key.length);
    }
    this.digestTime(this.state.prunedFloor, command.keys.length);
    return this.setIf(true, stamp);
  }

  /** P1: what is protected, and how far pruning may go. */
  get holds(): HoldState {
    return this.state.holds;
  }

  get prunedFloor(): Hlc {
    return this.state.prunedFloor;
  }

  private setIf(done: boolean, stamp: Hlc): OperationResult {
    return this.systemAnswer(done ? ResponseType.Set : ResponseType.NotSet, stamp);
  }

  private systemAnswer(type: ResponseType, stamp: Hlc): OperationResult {
    const answer = result(type, 0, stamp);
    this.digestAnswer(answer, stamp);
    return answer;
  }

  remembered(id: OperationId, receipt: Hlc): OperationResult | 'unknown' | undefined {
    return this.answers.find(id, receipt);
  }

  /** P2: the fence does not depend on what the router believed. */
  owns(key: string): boolean {
    return this.bucket >= 0 && bucketOf(key, this.poolSize) === this.bucket;
  }

  /** A placeholder for a record that is not in memory; undefined if the partition does not take the key. */
  private ask(key: string, durability: Durability): KeyRecord | undefined {
    if (durability !== Durability.Persistent || !isUsableKey(key) || !this.owns(key)) return undefined;
    return this.records.ask(key);
  }

  // ---- reads ---------------------------------------------------------------------------------------------------------------

  read(
    operation: ReadOperation,
    nowMs: number,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed | EntryNeed {
    if (fetched !== undefined) this.supply(fetched);
    if (isLock(operation)) return this.readLock(operation, nowMs);
    if (operation.kind === 'sequence-get') return this.readSequence(operation);
    return this.readKey(operation, nowMs, fetched);
  }

  private readLock(operation: LockOperation, nowMs: number): OperationResult | ReadNeed | EntryNeed {
    const outcome = this.tables?.readLock(operation, nowMs, this.state.appliedTerm);
    if (outcome === undefined) return result(isLockName(operation) ? ResponseType.MustRetry : ResponseType.InvalidInput, 0);
    this.cache.shrink(this.state.lastStamp.l);
    return outcome;
  }

  private readSequence({ key }: SequenceGet): OperationResult | ReadNeed {
    const outcome = this.tables?.readSequence(key);
    if (outcome === undefined)
      return sequenceAnswer(isName(key) ? SequenceResponseType.MustRetry : SequenceResponseType.InvalidInput, -1);
    this.cache.shrink(this.state.lastStamp.l);
    return outcome;
  }

  sequence(name: string): NamedRow<SequenceRecord> | undefined {
    const row = this.tables?.sequence(name);
    if (row !== undefined) this.cache.shrink(this.state.lastStamp.l);
    return row;
  }

  lock(name: string): NamedRow<Lock> | undefined {
    const row = this.tables?.lock(name);
    if (row !== undefined) this.cache.shrink(this.state.lastStamp.l);
    return row;
  }

  isHeld(operation: LockOperation, nowMs: number): boolean {
    return this.tables?.isHeld(operation, nowMs, this.state.appliedTerm) ?? false;
  }

  private readKey(
    operation: GetOperation,
    nowMs: number,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed {
    const mode = readModeOf(operation);
    let record = this.records.get(operation.key);
    if (record === undefined) {
      if (operation.durability !== Durability.Persistent || !isUsableKey(operation.key))
        return result(ResponseType.InvalidInput, 0);
      record = this.ask(operation.key, operation.durability);
      if (record === undefined) return result(ResponseType.MustRetry, 0);
      this.cache.shrink(this.state.lastStamp.l);
    }
    if (mode === undefined || operation.durability !== Durability.Persistent) return result(ResponseType.InvalidInput, 0);
    if (record.asked !== undefined) return { kind: 'rows', keys: [record.asked] };
    record.used = true;
    switch (mode) {
      case 'latest':
        return readLatest(record, operation, nowMs);
      case 'at-revision':
        return this.history.atRevision(record, operation, fetched);
      case 'as-of':
        return this.history.asOf(record, operation, fetched);
      default:
        return unreachable(mode, 'read mode');
    }
  }

  expiredAt(operation: ReadOperation, nowMs: number): number {
    if (isLock(operation)) return this.tables?.expiredAt(operation, nowMs, this.state.appliedTerm) ?? 0;
    if (operation.kind === 'sequence-get') return 0;
    if (readModeOf(operation) !== 'latest' || operation.durability !== Durability.Persistent) return 0;
    return expiryHiding(this.records.get(operation.key)?.current, nowMs);
  }

  /**
   * Begins a read of many keys at this instant; the host takes its view of the engine in the same step. undefined: the partition does
   * not own the key space.
   */
  openScan(query: PartitionQuery, nowMs: number): PartitionScan | undefined {
    const { shape } = query;
    if (this.bucket < 0 || (shape.kind === 'space' && !this.owns(`${shape.keySpace}/`))) return undefined;
    const point = new ReadPoint(query, nowMs);
    const captured: CapturedRow[] = [];
    for (const record of this.records.unflushed(covers(shape))) {
      captured.push(point.capture(record.key, record.current as Version, record.lastUsed));
    }
    return openHeadScan(
      { bucket: this.bucket, point, captured, prunedBelow: this.prunings.all(), writer: this.records.writer() },
      query,
    );
  }

  /** Keys of which memory knows more than the engine, at this instant; the host takes its view of the engine in the same step. */
  captureForWatch(watched: (key: string) => boolean): CapturedKey[] {
    const captured: CapturedKey[] = [];
    for (const record of this.records.unflushed(watched)) {
      const versions: PastVersion[] = [];
      for (let version = record.current; version !== undefined; version = version.older) versions.push(copyOf(version));
      captured.push({ key: record.key, versions });
    }
    return captured;
  }

  openListing(
    query: ListingQuery,
    nowMs: number,
    ephemeral: Iterable<readonly [name: string, lock: Lock]>,
  ): ListingScan | undefined {
    return this.tables?.openListing(query, nowMs, this.state.appliedTerm, this.partitionId, ephemeral);
  }

  // ---- engine --------------------------------------------------------------------------------------------------------------

  takeFlush(into: RowBatch): FlushBatch | undefined {
    assert(this.flush === undefined, 'one flush at a time');
    if (this.takenIndex === this.state.appliedIndex) return undefined;
    this.records.takeFlush(into);
    this.prunings.takeFlush(this.bucket, into);
    this.tables?.takeFlush(into);
    into.key().raw(metaRowKey(this.partitionId));
    writeMetaRow(into.value(), this.state);
    into.end();
    this.takenIndex = this.state.appliedIndex;
    this.flush = { appliedIndex: this.takenIndex };
    return this.flush;
  }

  flushed(batch: FlushBatch): void {
    // A restore in between has dropped what this flush was about.
    if (this.flush !== batch) return;
    this.flush = undefined;
    this.records.flushed();
    this.prunings.flushed();
    this.tables?.flushed();
    this.cache.shrink(this.state.lastStamp.l);
  }

  extent(): readonly Interval[] {
    const intervals = [familyInterval(Family.Group, this.partitionId)];
    if (this.bucket >= 0) for (const family of BUCKET_FAMILIES) intervals.push(familyInterval(family, this.bucket));
    return intervals;
  }

  restore(metaRow: Uint8Array): void {
    this.forget();
    this.state = decodeMetaRow(metaRow);
    this.answers = new AnswerMemory(this.answerCapacity, this.state.lastStamp);
    this.takenIndex = this.state.appliedIndex;
    this.observer?.replaced();
  }

  /** Drops everything held in memory: the partition leaves this node, or its state was replaced. */
  forget(): void {
    this.records.forget();
    this.flush = undefined;
    this.prunings.forget();
    this.tables?.forget();
  }

  /** P2 to P4; for {@link checkInvariants}. */
  checkMemory(): void {
    this.records.check(key => this.owns(key));
    this.tables?.check();
  }

  /** Of tests: what memory holds of keys. */
  inspect(): { readonly records: ReadonlyMap<string, KeyRecord> } {
    return { records: this.records.all };
  }
}

/** P2 to P4, for tests and the simulator; throws AssertionError. */
export function checkInvariants(machine: KeyValueMachine): void {
  machine.checkMemory();
}

function isWrite(command: Command): command is WriteOperation {
  return command.kind === 'set' || command.kind === 'delete' || command.kind === 'extend';
}

function isLock(operation: Command | ReadOperation): operation is LockOperation {
  return operation.kind.startsWith('lock-');
}

function isSequence(command: Command): command is SequenceCommand {
  return command.kind.startsWith('sequence-');
}

/** What is not flushed yet need not be written to be removed. */
function cutHistory(head: Version | undefined, below: number): void {
  for (let version = head; version !== undefined; version = version.older) {
    if (version.older !== undefined && version.older.revision < below) version.older = undefined;
  }
}
