import {
  assert,
  ByteWriter,
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
import { bucketOf, compareOrdinal, isWellFormed, sequenceStorageKey } from '@kahuna/range-router';
import { AnswerMemory } from './answer-memory.ts';
import { ByteHasher, mix } from './checksum.ts';
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
import { openHeadScan } from './head-scan.ts';
import type { HoldCommand, PruneHistory, RaiseCeiling } from './history-commands.ts';
import { searchHistory } from './history-search.ts';
import { evaluateHold, type HoldState } from './holds.ts';
import type { ListingQuery } from './listing.ts';
import { type ListingScan, TableListing } from './listing-scan.ts';
import type { LockOperation } from './lock-operation.ts';
import { LockTable, lockRow } from './lock-table.ts';
import type { Lock } from './locks.ts';
import { decodeMetaRow, emptyGroupState, type GroupState, writeMetaRow } from './meta-row.ts';
import { Durability, type GetOperation, type OperationResult, ResponseType, type WriteOperation } from './operation.ts';
import { Prunings, withoutPruned } from './prunings.ts';
import type { NamedRow } from './row-table.ts';
import { type CapturedRow, covers, type PartitionQuery, type PartitionScan, ReadPoint } from './scan.ts';
import { type SequenceGet, SequenceResponseType } from './sequence-operation.ts';
import { SequenceTable } from './sequence-table.ts';
import { entryOf, type SequenceCommand, type SequenceRecord, sequenceAnswer } from './sequences.ts';
import {
  BUCKET_FAMILIES,
  decodeStoredKey,
  Family,
  familyInterval,
  headKey,
  historyKey,
  type Interval,
  metaRowKey,
  revisionIn,
  writeHeadKey,
  writeHistoryKey,
} from './stored-keys.ts';
import type {
  Command,
  CommandBatch,
  CommandPolicy,
  DescribeMember,
  EntryNeed,
  FetchedRow,
  FlushBatch,
  FoundCluster,
  MetaState,
  OperationId,
  PartitionMachine,
  ReadNeed,
  ReadOperation,
  RosterMember,
  StoredKey,
  SystemState,
} from './types.ts';
import { FEATURE_LEVEL } from './types.ts';
import { keptBytes } from './value-slabs.ts';
import { decodeVersion, ownBytes, type Version, writeHead, writePast } from './version.ts';
import { type CapturedKey, type ChangeObserver, copyOf, type NameObserver, type PastVersion } from './watch.ts';

/**
 * Replicated state of one partition: its records, and for partitions 0 and 1 the cluster's own state.
 *
 *     engine ──supply──▶ clean record ──write──▶ dirty ──takeFlush──▶ flushing ──flushed──▶ clean ──evict──▶ engine
 *                                                  ▲───────── write ─────────┘
 *
 *  P1 `appliedIndex` grows by exactly one per entry.
 *  P2 Every record's key belongs to this partition's bucket; a write to another key is refused without effect.
 *  P3 Stamps grow with the log index; within a record commits and tombstones grow with revisions.
 *  P4 What a flush has not made durable in the engine is in memory: a dirty or flushing record is never evicted, and the versions
 *     it superseded since hang on it.
 *  P5 Results, records and checksum depend on the entries alone, never on what is cached, evicted, flushed or remembered.
 */

const NO_KEYS: readonly StoredKey[] = Object.freeze([]);
const FLUSH_SLAB_BYTES = 16 * 1024;
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

export class KeyValueMachine implements PartitionMachine, RecordOwner {
  readonly partitionId: PartitionId;
  /** Bucket of the hash pool that this partition owns; -1 if it owns no keys. */
  readonly bucket: number;
  private readonly poolSize: number;
  private readonly cache: HeadCache;
  private readonly answerCapacity: number;
  private readonly hasher = new ByteHasher();
  private writerIfAny: ByteWriter | undefined;

  private state: GroupState;
  private answers: AnswerMemory;
  private readonly records = new Map<string, KeyRecord>();
  private readonly prunings = new Prunings();
  /** Told the key whenever a version is superseded, for pruning after writes; the leader's business, not the state's. */
  onSuperseded: ((key: string) => void) | undefined = undefined;
  /** Told every change while somebody watches. */
  observer: ChangeObserver | undefined = undefined;
  /** Told of every lock and sequence, watched or not. */
  names: NameObserver | undefined = undefined;
  private readonly locks: LockTable | undefined;
  private readonly sequences: SequenceTable | undefined;
  /** Held for the entry that is applied next. */
  private pinned: KeyRecord[] = [];
  private dirty: KeyRecord[] = [];
  private flush: { readonly batch: FlushBatch; readonly records: readonly KeyRecord[] } | undefined;
  private takenIndex: LogIndex;

  constructor(options: PartitionMachineOptions) {
    this.partitionId = options.partitionId;
    this.poolSize = options.poolSize ?? 0;
    const bucket = options.partitionId - FIRST_DATA_PARTITION;
    this.bucket = bucket >= 0 ? bucket : -1;
    assert(bucket < 0 || bucket < this.poolSize, 'a data partition lies in the hash pool');
    this.cache = options.headCache;
    this.answerCapacity = options.answerCapacity ?? DEFAULT_ANSWER_CAPACITY;
    if (bucket >= 0) {
      this.locks = new LockTable(bucket, this.cache);
      this.sequences = new SequenceTable(bucket, this.cache);
    }
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

  /** Records that wait to be flushed, for the host's decision when to flush. */
  get dirtyRecords(): number {
    return this.dirty.length;
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
      if (!record.pinned) this.pin(record);
      keys ??= new Set();
      keys.add(record.asked);
    }
    return keys === undefined ? NO_KEYS : [...keys];
  }

  /** The row of a lock or a sequence, if it must be fetched. */
  private needsOfName(command: Command): StoredKey | undefined {
    if (isLock(command)) return this.takesLock(command) ? this.locks?.pin(command.key) : undefined;
    if (isSequence(command)) return this.takesSequence(command.key) ? this.sequences?.pin(command.key) : undefined;
    return undefined;
  }

  supply(rows: readonly FetchedRow[]): void {
    for (const row of rows) {
      const family = row.key[0];
      if (family === Family.Locks) this.locks?.supply(row);
      else if (family === Family.Sequences) this.sequences?.supply(row);
      else this.absorb(row);
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
    if (this.pinned.length > 0) this.unpin();
    this.locks?.unpin();
    this.sequences?.unpin();
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
        return this.applyFoundCluster(command, stamp);
      case 'describe-member':
        return this.applyDescribeMember(command, stamp);
      case 'found-range-map':
        return this.applyFoundRangeMap(stamp);
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
    if (hasEffect(answer.type)) {
      this.changed(record, before);
      this.observer?.changed(operation.kind, record.key, record.current as Version, stamp);
    }
    this.digest(operation, answer, record, stamp);
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
    if (this.locks === undefined || !this.takesLock(command)) return this.refuseName(isLockName(command), stamp);
    const { answer, before, changed } = this.locks.execute(command, stamp, this.state.appliedTerm, policy.lockSkewMs);
    this.digestAnswer(answer, stamp);
    if (changed !== undefined) {
      this.observer?.lockChanged(command.key, before, changed, stamp);
      this.names?.lockChanged(command.key, before, changed, stamp);
      this.digestWords(changed.token, changed.expires.l, changed.lapsed ? 1 : 0);
      this.digestWords(changed.owner === undefined ? 0 : this.hasher.hash(changed.owner), changed.term, changed.expires.c);
    }
    return answer;
  }

  private applySequence(command: SequenceCommand, stamp: Hlc, policy: CommandPolicy | undefined): OperationResult {
    assert(policy !== undefined, 'an entry with sequence commands carries its policy');
    const valid = isSequenceName(command.key);
    if (this.sequences === undefined || !this.takesSequence(command.key)) return this.refuseName(valid, stamp);
    const { answer, changed } = this.sequences.execute(command, stamp, policy);
    this.digestAnswer(answer, stamp);
    if (changed !== undefined) {
      this.digestSequence(changed);
      this.observer?.sequenceChanged(command, changed, stamp);
      this.names?.sequenceChanged(command.key);
    }
    return answer;
  }

  private digestSequence({ revision, live }: SequenceRecord): void {
    this.digestWords(revision, live?.incarnation ?? -1, live?.replays.size ?? -1);
    if (live === undefined) return;
    this.digestInt64(live.mark, live.stream);
    this.digestInt64(live.initialValue, live.blockSize ?? 0);
    this.digestInt64(live.increment, live.maxValue === undefined ? 0 : 1);
    this.digestInt64(live.maxValue ?? 0n, 0);
  }

  private digestInt64(value: bigint, word: number): void {
    this.digestWords(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)), word);
  }

  /** The numbers of refusals are the same for locks and sequences. */
  private refuseName(valid: boolean, stamp: Hlc): OperationResult {
    const answer = result(valid ? ResponseType.MustRetry : ResponseType.InvalidInput, 0);
    this.digestAnswer(answer, stamp);
    return answer;
  }

  private digestWords(a: number, b: number, c: number): void {
    this.state.checksum = mix(mix(mix(this.state.checksum, a | 0), b | 0), c | 0) >>> 0;
  }

  private digestTime(t: Hlc, word: number): void {
    this.digestWords(t.l, t.c ^ (t.n << 16), word);
  }

  private changed(record: KeyRecord, before: Version | undefined): void {
    if (before === undefined) this.state.keyCount++;
    if (!record.dirty) {
      record.dirty = true;
      this.dirty.push(record);
      this.cache.hold(record);
    }
    if (before !== undefined && record.current !== before) this.onSuperseded?.(record.key);
    if (record.current !== before) this.cache.resize(record, keptBytes(record.current?.value));
  }

  private digest(operation: WriteOperation, answer: OperationResult, record: KeyRecord, stamp: Hlc): void {
    this.digestAnswer(answer, stamp);
    if (!hasEffect(answer.type)) return;
    const head = record.current as Version;
    let sum = mix(this.state.checksum, head.expires.l | 0);
    if (operation.kind === 'set' && head.value !== null) sum = mix(sum, this.hasher.hash(head.value));
    this.state.checksum = sum >>> 0;
  }

  private digestAnswer(answer: OperationResult, stamp: Hlc): void {
    const sum = mix(mix(this.state.checksum, (answer.type << 24) ^ answer.revision), stamp.l | 0);
    this.state.checksum = mix(sum, stamp.c ^ (stamp.n << 16)) >>> 0;
  }

  private applyFoundCluster(command: FoundCluster, stamp: Hlc): OperationResult {
    if (this.partitionId !== SYSTEM_PARTITION || this.state.system !== undefined)
      return this.systemAnswer(ResponseType.NotSet, stamp);
    const members = command.members.map((member): RosterMember => ({ ...member, role: 'Voter', joinedVersion: 1 }));
    members.sort((a, b) => compareOrdinal(a.endpoint, b.endpoint));
    this.state.system = { clusterId: command.clusterId, poolSize: command.poolSize, membershipVersion: 1, members };
    return this.systemAnswer(ResponseType.Set, stamp);
  }

  private applyDescribeMember(command: DescribeMember, stamp: Hlc): OperationResult {
    const { system } = this.state;
    if (!system?.members.some(member => member.endpoint === command.endpoint))
      return this.systemAnswer(ResponseType.NotSet, stamp);
    const { endpoint, name, clientUrl, consoleUrl } = command;
    const members = system.members.map(member =>
      member.endpoint === endpoint ? { ...member, name, clientUrl, consoleUrl } : member,
    );
    this.state.system = { ...system, members };
    return this.systemAnswer(ResponseType.Set, stamp);
  }

  private applyFoundRangeMap(stamp: Hlc): OperationResult {
    if (this.partitionId !== META_PARTITION || this.state.meta !== undefined)
      return this.systemAnswer(ResponseType.NotSet, stamp);
    this.state.meta = { mapVersion: 1 };
    return this.systemAnswer(ResponseType.Set, stamp);
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
    if (late || compareHlc(command.floor, command.ceiling) > 0) return this.systemAnswer(ResponseType.NotSet, stamp);
    if (compareHlc(command.floor, this.state.prunedFloor) > 0) this.state.prunedFloor = command.floor;
    this.prunings.add(command);
    for (const { key, from, below } of command.keys) {
      this.cutHistory(this.records.get(key)?.current, below);
      this.digestWords(from, below, key.length);
    }
    this.digestTime(this.state.prunedFloor, command.keys.length);
    return this.systemAnswer(ResponseType.Set, stamp);
  }

  /** What is not flushed yet need not be written to be removed. */
  private cutHistory(head: Version | undefined, below: number): void {
    for (let version = head; version !== undefined; version = version.older) {
      if (version.older !== undefined && version.older.revision < below) version.older = undefined;
    }
  }

  /** P1: what is protected, and how far pruning may go. */
  get holds(): HoldState {
    return this.state.holds;
  }

  get prunedFloor(): Hlc {
    return this.state.prunedFloor;
  }

  private systemAnswer(type: ResponseType, stamp: Hlc): OperationResult {
    const answer = result(type, 0, stamp);
    this.digestAnswer(answer, stamp);
    return answer;
  }

  remembered(id: OperationId, receipt: Hlc): OperationResult | 'unknown' | undefined {
    return this.answers.find(id, receipt);
  }

  // ---- records in memory ---------------------------------------------------------------------------------------------------

  /** P2: the fence does not depend on what the router believed. */
  owns(key: string): boolean {
    return this.bucket >= 0 && bucketOf(key, this.poolSize) === this.bucket;
  }

  private takesLock(operation: LockOperation): boolean {
    return isLockName(operation) && (this.locks?.get(operation.key) !== undefined || this.owns(operation.key));
  }

  private takesSequence(name: string): boolean {
    return isSequenceName(name) && (this.sequences?.get(name) !== undefined || this.owns(sequenceStorageKey(name)));
  }

  /** A placeholder for a record that is not in memory; undefined if the partition does not take the key. */
  private ask(key: string, durability: Durability): KeyRecord | undefined {
    if (durability !== Durability.Persistent || !isUsableKey(key) || !this.owns(key)) return undefined;
    const record = new KeyRecord(key, this);
    record.asked = headKey(this.writer(), this.bucket, key);
    record.used = true;
    this.records.set(key, record);
    this.cache.add(record);
    return record;
  }

  /** Takes a head row into the placeholder that asked for it; any other row is stale or not a head, and is ignored. */
  private absorb(row: FetchedRow): void {
    if (row.key[0] !== Family.Heads) return;
    const record = this.records.get(decodeStoredKey(row.key).key);
    if (record === undefined || record.asked !== row.key) return;
    record.asked = undefined;
    // Not before: reads of more keys than the cache holds would evict each other's placeholders for ever.
    this.releaseIfIdle(record);
    if (row.value === undefined) return;
    const head = decodeVersion(row.value);
    head.value = ownBytes(head.value);
    head.owned = true;
    record.current = head;
    record.lastUsed = head.lastModified;
    this.cache.resize(record, keptBytes(head.value));
  }

  private pin(record: KeyRecord): void {
    this.cache.hold(record);
    record.pinned = true;
    this.pinned.push(record);
  }

  private unpin(): void {
    for (const record of this.pinned) {
      record.pinned = false;
      this.releaseIfIdle(record);
    }
    this.pinned = [];
  }

  private releaseIfIdle(record: KeyRecord): void {
    if (!record.dirty && record.flushing === undefined && !record.pinned) this.cache.release(record);
  }

  mayEvict(): boolean {
    return true;
  }

  evicted(record: KeyRecord): void {
    this.records.delete(record.key);
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
    if (this.locks === undefined || !this.takesLock(operation))
      return result(isLockName(operation) ? ResponseType.MustRetry : ResponseType.InvalidInput, 0);
    const outcome = this.locks.read(operation, nowMs, this.state.appliedTerm);
    this.cache.shrink(this.state.lastStamp.l);
    return outcome;
  }

  private readSequence({ key }: SequenceGet): OperationResult | ReadNeed {
    if (this.sequences === undefined || !this.takesSequence(key))
      return sequenceAnswer(isSequenceName(key) ? SequenceResponseType.MustRetry : SequenceResponseType.InvalidInput, -1);
    const outcome = this.sequences.read(key);
    this.cache.shrink(this.state.lastStamp.l);
    return outcome;
  }

  sequence(name: string): NamedRow<SequenceRecord> | undefined {
    if (this.sequences === undefined || !this.takesSequence(name)) return undefined;
    const row = this.sequences.look(name);
    this.cache.shrink(this.state.lastStamp.l);
    return row;
  }

  lock(name: string): NamedRow<Lock> | undefined {
    if (this.locks === undefined || !isLockText(name) || !this.owns(name)) return undefined;
    const row = this.locks.look(name);
    this.cache.shrink(this.state.lastStamp.l);
    return row;
  }

  isHeld(operation: LockOperation, nowMs: number): boolean {
    return this.locks?.isHeld(operation, nowMs, this.state.appliedTerm) ?? false;
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
        return this.readRevision(record, operation, fetched);
      case 'as-of':
        return this.readAsOf(record, operation, fetched);
      default:
        return unreachable(mode, 'read mode');
    }
  }

  private readRevision(
    record: KeyRecord,
    operation: GetOperation,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed {
    const { revision } = operation;
    const head = record.current;
    if (head === undefined || revision > head.revision) return miss(revision);
    let version: Version | undefined = head;
    while (version !== undefined && version.revision > revision) version = version.older;
    if (version !== undefined) return readVersion(operation, version, version !== head);
    if (revision < this.prunings.below(record.key)) return miss(revision);
    const key = historyKey(this.writer(), this.bucket, record.key, revision);
    const row = fetched?.find(candidate => revisionIn(candidate.key) === revision);
    if (row === undefined) return { kind: 'rows', keys: [key] };
    return row.value === undefined ? miss(revision) : readVersion(operation, decodeVersion(row.value), true);
  }

  private readAsOf(
    record: KeyRecord,
    operation: GetOperation,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed {
    const t = operation.readTimestamp;
    const head = record.current;
    if (head === undefined) return miss(-1);
    let version: Version = head;
    while (compareHlc(version.commit, t) > 0) {
      if (version.older === undefined) return this.searchEngine(record, version.revision, operation, fetched);
      version = version.older;
    }
    return asOfAnswer(operation, version, version !== head);
  }

  private searchEngine(
    record: KeyRecord,
    below: number,
    operation: GetOperation,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed {
    const rows = withoutPruned(fetched ?? [], this.prunings.below(record.key), revisionIn);
    const step = searchHistory(operation.readTimestamp, below, rows, revisionIn);
    switch (step.kind) {
      case 'found':
        return asOfAnswer(operation, step.version, true);
      case 'none':
        return miss(-1);
      case 'pruned':
        return result(ResponseType.Aborted, 0);
      case 'probe': {
        const writer = this.writer();
        return { kind: 'rows', keys: step.revisions.map(revision => historyKey(writer, this.bucket, record.key, revision)) };
      }
      default:
        return unreachable(step, 'search step');
    }
  }

  expiredAt(operation: ReadOperation, nowMs: number): number {
    if (isLock(operation)) return this.locks?.expiredAt(operation, nowMs, this.state.appliedTerm) ?? 0;
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
    for (const record of this.unflushed(covers(shape))) {
      captured.push(point.capture(record.key, record.current as Version, record.lastUsed));
    }
    return openHeadScan({ bucket: this.bucket, point, captured, prunedBelow: this.prunings.all(), writer: this.writer() }, query);
  }

  /** Records that memory holds ahead of the engine. */
  private *unflushed(covered: (key: string) => boolean): Iterable<KeyRecord> {
    for (const record of this.dirty) if (covered(record.key)) yield record;
    if (this.flush === undefined) return;
    for (const record of this.flush.records) if (!record.dirty && covered(record.key)) yield record;
  }

  /** Keys of which memory knows more than the engine, at this instant; the host takes its view of the engine in the same step. */
  captureForWatch(watched: (key: string) => boolean): CapturedKey[] {
    const captured: CapturedKey[] = [];
    for (const record of this.unflushed(watched)) {
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
    const { partitionId } = this;
    if (this.locks === undefined || this.sequences === undefined) return undefined;
    if (query.kind === 'sequences') {
      return new TableListing(query, this.sequences, (name, record) =>
        record.live === undefined ? undefined : { entry: entryOf(name, record, record.live), partitionId },
      );
    }
    const term = this.state.appliedTerm;
    const listing = new TableListing(query, this.locks, (name, lock) =>
      lockRow(name, lock, Durability.Persistent, nowMs, term, partitionId),
    );
    for (const [name, lock] of ephemeral) listing.add(name, lockRow(name, lock, Durability.Ephemeral, nowMs, term, partitionId));
    return listing;
  }

  // ---- engine --------------------------------------------------------------------------------------------------------------

  takeFlush(into: RowBatch): FlushBatch | undefined {
    assert(this.flush === undefined, 'one flush at a time');
    if (this.takenIndex === this.state.appliedIndex) return undefined;
    const records = this.dirty;
    for (const record of records) this.writeRecord(record, into);
    this.prunings.takeFlush(this.bucket, into);
    this.locks?.takeFlush(into);
    this.sequences?.takeFlush(into);
    into.key().raw(metaRowKey(this.partitionId));
    writeMetaRow(into.value(), this.state);
    into.end();
    const batch: FlushBatch = { appliedIndex: this.state.appliedIndex };
    this.dirty = [];
    this.takenIndex = this.state.appliedIndex;
    this.flush = { batch, records };
    return batch;
  }

  /** The head once, however often it was written, and every version it superseded since the last flush. */
  private writeRecord(record: KeyRecord, into: RowBatch): void {
    const head = record.current as Version;
    writeHeadKey(into.key(), this.bucket, record.key);
    writeHead(into.value(), head);
    into.end();
    let newer = head;
    for (let past = head.older; past !== undefined; past = past.older) {
      writeHistoryKey(into.key(), this.bucket, record.key, past.revision);
      writePast(into.value(), past, newer.commit);
      into.end();
      newer = past;
    }
    if (head.value !== null && !head.owned) head.value = this.cache.values.keep(head.value);
    head.owned = true;
    record.dirty = false;
    record.flushing = head;
  }

  flushed(batch: FlushBatch): void {
    // A restore in between has dropped what this flush was about.
    if (this.flush?.batch !== batch) return;
    for (const record of this.flush.records) {
      if (record.flushing !== undefined) record.flushing.older = undefined;
      record.flushing = undefined;
      this.releaseIfIdle(record);
    }
    this.flush = undefined;
    this.prunings.flushed();
    this.locks?.flushed();
    this.sequences?.flushed();
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
    for (const record of this.records.values()) this.cache.remove(record);
    this.records.clear();
    this.pinned = [];
    this.dirty = [];
    this.flush = undefined;
    this.prunings.forget();
    this.locks?.forget();
    this.sequences?.forget();
  }

  private writer(): ByteWriter {
    this.writerIfAny ??= new ByteWriter(FLUSH_SLAB_BYTES);
    return this.writerIfAny;
  }

  /** P2 and P4 for locks and sequences; for {@link checkInvariants}. */
  checkTables(): void {
    this.locks?.check(name => this.owns(name));
    this.sequences?.check(name => this.owns(sequenceStorageKey(name)));
  }

  /** For {@link checkInvariants}. */
  inspect(): {
    readonly records: ReadonlyMap<string, KeyRecord>;
    readonly dirty: readonly KeyRecord[];
    readonly flushing: readonly KeyRecord[];
  } {
    return { records: this.records, dirty: this.dirty, flushing: this.flush?.records ?? [] };
  }
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

/** Names are ordinary texts, but they must survive a journey through UTF-8. */
function isLockName(operation: LockOperation): boolean {
  return operation.durability === Durability.Persistent && isLockText(operation.key);
}

function isLockText(name: string): boolean {
  return name !== '' && isWellFormed(name);
}

function isSequenceName(name: string): boolean {
  return name !== '' && isWellFormed(name);
}

/** P2 to P4, for tests and the simulator; throws AssertionError. */
export function checkInvariants(machine: KeyValueMachine): void {
  const { records, dirty, flushing } = machine.inspect();
  const dirtySet = new Set(dirty);
  const flushingSet = new Set(flushing);
  for (const [key, record] of records) {
    assert(record.key === key, 'a record stands under its key');
    assert(machine.owns(key), 'P2: a record belongs to the bucket');
    assert(record.asked === undefined || record.current === undefined, 'a placeholder has no head');
    const busy = record.dirty || record.flushing !== undefined || record.pinned;
    assert(!(busy && record.linked), 'P4: a record with unflushed state is not evictable');
    assert(record.dirty === dirtySet.has(record), 'P4: the dirty list names exactly the dirty records');
    assert((record.flushing !== undefined) === flushingSet.has(record), 'P4: the flush names exactly its records');
    checkChain(record);
  }
  for (const record of [...dirty, ...flushing])
    assert(records.get(record.key) === record, 'P4: an unflushed record is in memory');
  machine.checkTables();
}

/** P3 within a record. */
function checkChain(record: KeyRecord): void {
  const head = record.current;
  assert(
    head?.older === undefined || record.dirty || record.flushing !== undefined,
    'P4: a clean record has no unflushed history',
  );
  for (let version = head; version !== undefined; version = version.older) {
    const { older } = version;
    assert(
      version.deletedAt.l === 0 || compareHlc(version.deletedAt, version.commit) > 0,
      'P3: a tombstone is later than its version',
    );
    if (older === undefined) break;
    assert(older.revision === version.revision - 1, 'revisions have no gap');
    assert(compareHlc(older.commit, version.commit) < 0, 'P3: commits grow with revisions');
    assert(
      older.deletedAt.l === 0 || compareHlc(older.deletedAt, version.commit) < 0,
      'P3: a version is later than the tombstone before it',
    );
    assert(older.archived || older.value === null, 'a superseded version that is not archived keeps no value');
  }
}
