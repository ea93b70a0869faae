import { ByteReader, type ByteWriter, DecodeError, HLC_ZERO, type Hlc, unreachable } from '@kahuna/base';
import { readHlc, writeHlc } from './hlc-codec.ts';
import type { OperationResult } from './operation.ts';
import type { RowFormat } from './row-table.ts';
import {
  type SequenceAllocation,
  type SequenceCreate,
  type SequenceDelete,
  type SequenceEntry,
  SequenceResponseType,
  type SequenceUpdate,
} from './sequence-operation.ts';
import { Family } from './stored-keys.ts';

/**
 * Replicated part of the sequencer (spec sequences): the records. Values of a reserved block are handed out by the leader from its
 * memory and never come here, unless they carry an idempotency key.
 *
 * S1 The mark never moves down but by an update; every value at or below it was reserved once in its stream, so a later leader,
 *    which knows nothing of blocks, goes on above it.
 * S2 `stream` is the revision at which the present value stream began (create or update). A block or a run reserved at an earlier
 *    revision belongs to a stream that is over, and is refused.
 * S3 Revisions of a name only grow, over delete and re-creation too.
 */

export const INT64_MAX = 2n ** 63n - 1n;
export const INT64_MIN = -(2n ** 63n);

/** An allocation that is answered again to the same idempotency key. */
export interface Replay {
  readonly start: bigint;
  readonly count: number;
  readonly revision: number;
  /** When it was made. Milliseconds. */
  readonly atMs: number;
}

export interface LiveSequence {
  mark: bigint;
  initialValue: bigint;
  increment: bigint;
  maxValue: bigint | undefined;
  blockSize: number | undefined;
  incarnation: number;
  /** S2. */
  stream: number;
  readonly createdAt: Hlc;
  /** By idempotency key, oldest first. */
  readonly replays: Map<string, Replay>;
}

/** All that is stored of one name. A deleted sequence keeps its revision (S3). */
export class SequenceRecord {
  revision: number;
  /** Of the last durable change. */
  updatedAt: Hlc;
  live: LiveSequence | undefined;

  constructor(revision: number, updatedAt: Hlc, live: LiveSequence | undefined) {
    this.revision = revision;
    this.updatedAt = updatedAt;
    this.live = live;
  }
}

/**
 * Takes a run of values: what the leader proposes on behalf of reserve. Without `from`, a block is reserved whose first `count`
 * values are the run. With an idempotency key, the run is recorded under it.
 */
export interface SequenceAllocate {
  readonly kind: 'sequence-allocate';
  /** Name of the sequence. */
  readonly key: string;
  readonly count: number;
  /** '' = none. */
  readonly idempotencyKey: string;
  /** The run was taken from a block in the leader's memory, reserved at this revision. */
  readonly from: { readonly start: bigint; readonly revision: number } | undefined;
}

export type SequenceCommand = SequenceCreate | SequenceUpdate | SequenceDelete | SequenceAllocate;

/** What an allocation answers to the leader that proposed it. */
export interface BlockAllocation extends SequenceAllocation {
  /** Values behind `end` that were reserved along with it. */
  readonly blockLeft: number;
}

export interface SequencePolicy {
  /** Values per reservation of a sequence without a block size of its own. */
  readonly blockSize: number;
  /** Replays kept per sequence; 0 = all. */
  readonly retentionMax: number;
  /** Age at which a replay counts as absent; 0 = never. Milliseconds. */
  readonly retentionMs: number;
}

export interface SequenceOutcome {
  readonly answer: OperationResult;
  /** undefined: there is none, and none came. */
  readonly record: SequenceRecord | undefined;
  readonly changed: boolean;
}

export function evaluateSequence(
  record: SequenceRecord | undefined,
  command: SequenceCommand,
  stamp: Hlc,
  policy: SequencePolicy,
): SequenceOutcome {
  switch (command.kind) {
    case 'sequence-create':
      return create(record, command, stamp);
    case 'sequence-update':
      return update(record, command, stamp);
    case 'sequence-delete':
      return remove(record, stamp);
    case 'sequence-allocate':
      return allocate(record, command, stamp, policy);
    default:
      return unreachable(command, 'sequence command');
  }
}

function create(record: SequenceRecord | undefined, command: SequenceCreate, stamp: Hlc): SequenceOutcome {
  if (record?.live !== undefined) return refused(record, SequenceResponseType.AlreadyExists, -1);
  const revision = record === undefined ? 0 : record.revision + 1;
  const created = new SequenceRecord(revision, stamp, {
    mark: command.initialValue,
    initialValue: command.initialValue,
    increment: command.increment,
    maxValue: command.maxValue,
    blockSize: command.blockSize,
    incarnation: 0,
    stream: revision,
    createdAt: stamp,
    replays: new Map(),
  });
  return { answer: entryAnswer(command.key, created), record: created, changed: true };
}

function update(record: SequenceRecord | undefined, command: SequenceUpdate, stamp: Hlc): SequenceOutcome {
  const live = record?.live;
  if (record === undefined || live === undefined) return refused(record, SequenceResponseType.NotFound, -1);
  const mark = command.currentValue ?? live.mark;
  const maxValue = command.removeMaxValue ? undefined : (command.maxValue ?? live.maxValue);
  if (maxValue !== undefined && maxValue < mark) return refused(record, SequenceResponseType.InvalidInput, -1);
  live.mark = mark;
  live.maxValue = maxValue;
  live.increment = command.increment ?? live.increment;
  live.initialValue = command.initialValue ?? live.initialValue;
  live.blockSize = command.removeBlockSize ? undefined : (command.blockSize ?? live.blockSize);
  live.incarnation++;
  live.replays.clear();
  record.revision++;
  live.stream = record.revision;
  record.updatedAt = stamp;
  return { answer: entryAnswer(command.key, record), record, changed: true };
}

function remove(record: SequenceRecord | undefined, stamp: Hlc): SequenceOutcome {
  if (record?.live === undefined) return refused(record, SequenceResponseType.NotFound, 0);
  record.live = undefined;
  record.updatedAt = stamp;
  return { answer: sequenceAnswer(SequenceResponseType.Success, 0), record, changed: true };
}

function allocate(
  record: SequenceRecord | undefined,
  command: SequenceAllocate,
  stamp: Hlc,
  policy: SequencePolicy,
): SequenceOutcome {
  const live = record?.live;
  if (record === undefined || live === undefined) return refused(record, SequenceResponseType.NotFound, 0);
  const { count, idempotencyKey, from } = command;
  const known = replayAnswer(command.key, live, idempotencyKey, count, stamp.l, policy);
  if (known !== undefined) return { answer: known, record, changed: false };
  let run = from;
  let blockLeft = 0;
  if (run === undefined) {
    if (!fits(live, count)) return refused(record, SequenceResponseType.MaxValueExceeded, 0);
    run = { start: live.mark + live.increment, revision: record.revision + 1 };
    const values = blockValues(live, count, policy);
    live.mark += live.increment * BigInt(values);
    record.revision++;
    blockLeft = values - count;
  } else if (run.revision < live.stream) {
    return refused(record, SequenceResponseType.MustRetry, 0);
  }
  if (idempotencyKey !== '') {
    // A key whose replay has aged moves to the end, where the youngest are.
    live.replays.delete(idempotencyKey);
    live.replays.set(idempotencyKey, { start: run.start, count, revision: run.revision, atMs: stamp.l });
    forgetOldReplays(live.replays, stamp.l, policy);
  }
  record.updatedAt = stamp;
  const detail = allocationOf(command.key, run.start, count, live.increment, run.revision, blockLeft);
  return { answer: allocationAnswer(detail), record, changed: true };
}

/** There is room for `count` values between the mark and the maximum. */
export function fits(live: LiveSequence, count: number): boolean {
  return live.mark + live.increment * BigInt(count) <= (live.maxValue ?? INT64_MAX);
}

/** Values that a reservation takes for a run of `count` that {@link fits}. */
export function blockValues(live: LiveSequence, count: number, policy: SequencePolicy): number {
  const wanted = Math.max(live.blockSize ?? policy.blockSize, 1, count);
  const room = ((live.maxValue ?? INT64_MAX) - live.mark) / live.increment;
  return room < BigInt(wanted) ? Number(room) : wanted;
}

/** The answer to an idempotency key that is known: its allocation again, or a refusal if another count is asked for. */
export function replayAnswer(
  name: string,
  live: LiveSequence,
  idempotencyKey: string,
  count: number,
  nowMs: number,
  policy: SequencePolicy,
): OperationResult | undefined {
  const replay = idempotencyKey === '' ? undefined : live.replays.get(idempotencyKey);
  if (replay === undefined || isAged(replay, nowMs, policy)) return undefined;
  if (replay.count !== count) return sequenceAnswer(SequenceResponseType.InvalidInput, 0);
  return allocationAnswer(allocationOf(name, replay.start, count, live.increment, replay.revision, 0));
}

function isAged(replay: Replay, nowMs: number, policy: SequencePolicy): boolean {
  return policy.retentionMs > 0 && nowMs - replay.atMs > policy.retentionMs;
}

/** Oldest first; the one just made always stays. */
function forgetOldReplays(replays: Map<string, Replay>, nowMs: number, policy: SequencePolicy): void {
  const { retentionMax } = policy;
  for (const [key, replay] of replays) {
    const tooMany = retentionMax > 0 && replays.size > retentionMax;
    if (!tooMany && !isAged(replay, nowMs, policy)) return;
    replays.delete(key);
  }
}

/** A read of the record (spec sequences §5.2). */
export function readSequence(name: string, record: SequenceRecord | undefined): OperationResult {
  return record?.live === undefined ? sequenceAnswer(SequenceResponseType.NotFound, -1) : entryAnswer(name, record);
}

export function entryOf(name: string, record: SequenceRecord, live: LiveSequence): SequenceEntry {
  return {
    kind: 'sequence-entry',
    name,
    currentValue: live.mark,
    initialValue: live.initialValue,
    increment: live.increment,
    maxValue: live.maxValue,
    blockSize: live.blockSize,
    incarnation: live.incarnation,
    revision: record.revision,
    createdAt: live.createdAt,
    updatedAt: record.updatedAt,
  };
}

function entryAnswer(name: string, record: SequenceRecord): OperationResult {
  const answer = sequenceAnswer(SequenceResponseType.Success, record.revision);
  answer.detail = entryOf(name, record, record.live as LiveSequence);
  return answer;
}

function allocationOf(
  name: string,
  start: bigint,
  count: number,
  increment: bigint,
  revision: number,
  blockLeft: number,
): BlockAllocation {
  const end = count === 1 ? start : start + increment * BigInt(count - 1);
  return { kind: 'sequence-allocation', name, start, end, count, revision, blockLeft };
}

export function allocationAnswer(detail: SequenceAllocation): OperationResult {
  const answer = sequenceAnswer(SequenceResponseType.Success, detail.revision);
  answer.detail = detail;
  return answer;
}

export function sequenceAnswer(type: SequenceResponseType, revision: number): OperationResult {
  return {
    type,
    revision,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    route: undefined,
  };
}

function refused(record: SequenceRecord | undefined, type: SequenceResponseType, revision: number): SequenceOutcome {
  return { answer: sequenceAnswer(type, revision), record, changed: false };
}

const FORMAT = 1;
const LIVE = 1;
const HAS_MAX = 2;
const HAS_BLOCK_SIZE = 4;

export const SEQUENCE_ROWS: RowFormat<SequenceRecord> = {
  family: Family.Sequences,

  write(writer: ByteWriter, record: SequenceRecord): void {
    const { live } = record;
    writer.u8(FORMAT);
    writer.u8(
      (live === undefined ? 0 : LIVE) |
        (live?.maxValue === undefined ? 0 : HAS_MAX) |
        (live?.blockSize === undefined ? 0 : HAS_BLOCK_SIZE),
    );
    writer.varint(record.revision);
    writeHlc(writer, record.updatedAt);
    if (live !== undefined) writeLive(writer, live);
  },

  decode(row: Uint8Array): SequenceRecord {
    const reader = new ByteReader(row);
    const format = reader.u8();
    if (format !== FORMAT) throw new DecodeError(`sequence row format ${format} is newer than this release`);
    const shape = reader.u8();
    const revision = reader.varint();
    const updatedAt = readHlc(reader);
    const live = (shape & LIVE) === 0 ? undefined : readLive(reader, shape);
    if (reader.remaining > 0) throw new DecodeError('bytes after a sequence row');
    return new SequenceRecord(revision, updatedAt, live);
  },

  sizeOf: record => 320 + (record.live === undefined ? 0 : record.live.replays.size * 160),
};

function writeLive(writer: ByteWriter, live: LiveSequence): void {
  writer.i64(live.mark);
  writer.i64(live.initialValue);
  writer.i64(live.increment);
  if (live.maxValue !== undefined) writer.i64(live.maxValue);
  if (live.blockSize !== undefined) writer.varint(live.blockSize);
  writer.varint(live.incarnation);
  writer.varint(live.stream);
  writeHlc(writer, live.createdAt);
  writer.varint(live.replays.size);
  for (const [key, replay] of live.replays) {
    writer.string(key);
    writer.i64(replay.start);
    writer.varint(replay.count);
    writer.varint(replay.revision);
    writer.varint(replay.atMs);
  }
}

function readLive(reader: ByteReader, shape: number): LiveSequence {
  const mark = reader.i64();
  const initialValue = reader.i64();
  const increment = reader.i64();
  const maxValue = (shape & HAS_MAX) === 0 ? undefined : reader.i64();
  const blockSize = (shape & HAS_BLOCK_SIZE) === 0 ? undefined : reader.varint();
  const incarnation = reader.varint();
  const stream = reader.varint();
  const createdAt = readHlc(reader);
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more replays than bytes');
  const replays = new Map<string, Replay>();
  for (let i = 0; i < count; i++) {
    const key = reader.string();
    const start = reader.i64();
    const values = reader.varint();
    const revision = reader.varint();
    replays.set(key, { start, count: values, revision, atMs: reader.varint() });
  }
  return { mark, initialValue, increment, maxValue, blockSize, incarnation, stream, createdAt, replays };
}
