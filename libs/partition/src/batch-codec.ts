import { ByteReader, type ByteWriter, DecodeError, type Hlc, stampAfter, unreachable } from '@kahuna/base';
import { readHistoryCommand, writeHistoryCommand } from './history-commands.ts';
import { readHlc, writeHlc } from './hlc-codec.ts';
import {
  readAllocate,
  readDurability,
  readLock,
  readSequenceCreate,
  readSequenceUpdate,
  writeAllocate,
  writeKey,
  writeLock,
  writeSequenceCreate,
  writeSequenceUpdate,
} from './lock-sequence-codec.ts';
import type { ExtendOperation, SetOperation } from './operation.ts';
import { SetFlag } from './operation.ts';
import {
  type Command,
  type CommandBatch,
  type CommandPolicy,
  type DescribeMember,
  FEATURE_LEVEL,
  type FoundCluster,
  type FoundingMember,
  type Proposal,
} from './types.ts';

/**
 * Binary form of one log entry's commands.
 *
 *     version u8 · level · stamp (n, l, c) · policy if version 2 · count, then per proposal
 *     id (node, boot, number) · receipt (n, l behind the stamp's, c) · kind u8 · fields of the kind
 *
 * Everything that shapes an effect is inside the command, so that a replica needs nothing but the entry and its state. A format,
 * level or kind that this release does not know is {@link UnknownCommandError}: the node stops, because skipping it would let
 * replicas diverge.
 */
const FORMAT = 1;
/** With a policy behind the stamp. */
const FORMAT_POLICY = 2;

const Kind = {
  Set: 1,
  Delete: 2,
  Extend: 3,
  LockAcquire: 4,
  LockExtend: 5,
  LockRelease: 6,
  LockInfo: 7,
  SequenceCreate: 8,
  SequenceUpdate: 9,
  SequenceDelete: 10,
  SequenceAllocate: 11,
  FoundCluster: 16,
  DescribeMember: 17,
  FoundRangeMap: 18,
  History: 24,
} as const;

const LOCK_KINDS = {
  'lock-acquire': Kind.LockAcquire,
  'lock-extend': Kind.LockExtend,
  'lock-release': Kind.LockRelease,
  'lock-info': Kind.LockInfo,
} as const;

/** Bits of a set's shape byte: which optional parts follow. */
const HAS_VALUE = 1;
const HAS_EXPIRY = 2;
const HAS_COMPARE_VALUE = 4;
const HAS_COMPARE_REVISION = 8;
const PERSISTENT = 16;

const KNOWN_FLAGS =
  SetFlag.NoRevision | SetFlag.IfExists | SetFlag.IfNotExists | SetFlag.IfEqualToValue | SetFlag.IfEqualToRevision;
/** A revision that no record has and that is not "never written": a comparison with it fails. */
const NEVER_MATCHES = -2;
/** Beyond this no counter ever gets; also what the signed varint can carry. */
const MAX_REVISION = 2 ** 51;

/** The log holds something that only a later release can evaluate. The node must stop rather than skip it. */
export class UnknownCommandError extends Error {
  override name = 'UnknownCommandError';
}

export function encodeBatch(writer: ByteWriter, batch: CommandBatch): Uint8Array {
  writer.u8(batch.policy === undefined ? FORMAT : FORMAT_POLICY);
  writer.varint(batch.level);
  writeHlc(writer, batch.stamp);
  if (batch.policy !== undefined) writePolicy(writer, batch.policy);
  writer.varint(batch.proposals.length);
  for (let i = 0; i < batch.proposals.length; i++) writeProposal(writer, batch.proposals[i] as Proposal, batch.stamp);
  return writer.finish();
}

/** Values are views into `data`. Throws {@link DecodeError} on damage and {@link UnknownCommandError} on what a later release wrote. */
export function decodeBatch(data: Uint8Array): CommandBatch {
  const reader = new ByteReader(data);
  const format = reader.u8();
  checkFormat(format);
  const level = reader.varint();
  if (level > FEATURE_LEVEL)
    throw new UnknownCommandError(`feature level ${level} is newer than this release (${FEATURE_LEVEL})`);
  const stamp = readHlc(reader);
  const policy = format === FORMAT_POLICY ? readPolicy(reader) : undefined;
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more proposals than bytes');
  const proposals: Proposal[] = [];
  let receipt: Hlc = stamp;
  for (let i = 0; i < count; i++) {
    const proposal = readProposal(reader, stamp, receipt);
    receipt = proposal.receipt;
    proposals.push(proposal);
  }
  if (reader.remaining > 0) throw new DecodeError('bytes after the last proposal');
  return policy === undefined ? { stamp, level, proposals } : { stamp, level, policy, proposals };
}

function checkFormat(format: number): void {
  if (format !== FORMAT && format !== FORMAT_POLICY)
    throw new UnknownCommandError(`command format ${format} is newer than this release`);
}

function writePolicy(writer: ByteWriter, policy: CommandPolicy): void {
  writer.varint(policy.lockSkewMs);
  writer.varint(policy.blockSize);
  writer.varint(policy.retentionMax);
  writer.varint(policy.retentionMs);
}

function readPolicy(reader: ByteReader): CommandPolicy {
  const lockSkewMs = reader.varint();
  const blockSize = reader.varint();
  const retentionMax = reader.varint();
  return { lockSkewMs, blockSize, retentionMax, retentionMs: reader.varint() };
}

function writeProposal(writer: ByteWriter, proposal: Proposal, stamp: Hlc): void {
  const { id, receipt } = proposal;
  writer.varint(id.node);
  writer.varint(id.boot);
  writer.varint(id.number);
  writer.varint(receipt.n);
  writer.svarint(stamp.l - receipt.l);
  writer.varint(receipt.c);
  writeCommand(writer, proposal.command);
}

/** `previous`: receipt of the proposal before. Requests of one flush share theirs, so one object serves many. */
function readProposal(reader: ByteReader, stamp: Hlc, previous: Hlc): Proposal {
  const node = reader.varint();
  const boot = reader.varint();
  const id = { node, boot, number: reader.varint() };
  const n = reader.varint();
  const l = stamp.l - reader.svarint();
  const c = reader.varint();
  const receipt = previous.l === l && previous.c === c && previous.n === n ? previous : { n, l, c };
  return { id, receipt, command: readCommand(reader) };
}

function writeCommand(writer: ByteWriter, command: Command): void {
  switch (command.kind) {
    case 'set':
      writer.u8(Kind.Set);
      writeSet(writer, command);
      return;
    case 'delete':
      writer.u8(Kind.Delete);
      writeKey(writer, command.key);
      writer.u8(command.durability);
      return;
    case 'extend':
      writer.u8(Kind.Extend);
      writeExtend(writer, command);
      return;
    case 'lock-acquire':
    case 'lock-extend':
    case 'lock-release':
    case 'lock-info':
      writer.u8(LOCK_KINDS[command.kind]);
      writeLock(writer, command);
      return;
    case 'sequence-create':
      writer.u8(Kind.SequenceCreate);
      writeSequenceCreate(writer, command);
      return;
    case 'sequence-update':
      writer.u8(Kind.SequenceUpdate);
      writeSequenceUpdate(writer, command);
      return;
    case 'sequence-delete':
      writer.u8(Kind.SequenceDelete);
      writeKey(writer, command.key);
      return;
    case 'sequence-allocate':
      writer.u8(Kind.SequenceAllocate);
      writeAllocate(writer, command);
      return;
    case 'hold-acquire':
    case 'hold-renew':
    case 'hold-release':
    case 'hold-floor':
    case 'raise-ceiling':
    case 'prune-history':
      writer.u8(Kind.History);
      writeHistoryCommand(writer, command);
      return;
    case 'found-cluster':
      writer.u8(Kind.FoundCluster);
      writeFoundCluster(writer, command);
      return;
    case 'describe-member':
      writer.u8(Kind.DescribeMember);
      writer.string(command.endpoint);
      writer.string(command.name);
      writer.string(command.clientUrl);
      writer.string(command.consoleUrl);
      return;
    case 'found-range-map':
      writer.u8(Kind.FoundRangeMap);
      return;
    default:
      unreachable(command, 'command');
  }
}

function readCommand(reader: ByteReader): Command {
  const kind = reader.u8();
  switch (kind) {
    case Kind.Set:
      return readSet(reader);
    case Kind.Delete: {
      const key = reader.string();
      return { kind: 'delete', key, durability: readDurability(reader) };
    }
    case Kind.Extend: {
      const key = reader.string();
      const expiresMs = reader.svarint();
      return { kind: 'extend', key, expiresMs, durability: readDurability(reader) };
    }
    case Kind.LockAcquire:
      return readLock(reader, 'lock-acquire');
    case Kind.LockExtend:
      return readLock(reader, 'lock-extend');
    case Kind.LockRelease:
      return readLock(reader, 'lock-release');
    case Kind.LockInfo:
      return readLock(reader, 'lock-info');
    case Kind.SequenceCreate:
      return readSequenceCreate(reader);
    case Kind.SequenceUpdate:
      return readSequenceUpdate(reader);
    case Kind.SequenceDelete:
      return { kind: 'sequence-delete', key: reader.string() };
    case Kind.SequenceAllocate:
      return readAllocate(reader);
    case Kind.History:
      return readHistoryCommand(reader);
    case Kind.FoundCluster:
      return readFoundCluster(reader);
    case Kind.DescribeMember:
      return readDescribeMember(reader);
    case Kind.FoundRangeMap:
      return { kind: 'found-range-map' };
    default:
      throw new UnknownCommandError(`command kind ${kind} is newer than this release`);
  }
}

function writeSet(writer: ByteWriter, command: SetOperation): void {
  const compareValue = (command.flags & SetFlag.IfEqualToValue) !== 0 ? command.compareValue : null;
  const comparesRevision = (command.flags & SetFlag.IfEqualToRevision) !== 0;
  writeKey(writer, command.key);
  writer.u8(
    (command.value === null ? 0 : HAS_VALUE) |
      (command.expiresMs === 0 ? 0 : HAS_EXPIRY) |
      (compareValue === null ? 0 : HAS_COMPARE_VALUE) |
      (comparesRevision ? HAS_COMPARE_REVISION : 0) |
      (command.durability === 0 ? 0 : PERSISTENT),
  );
  writer.u8(command.flags & KNOWN_FLAGS);
  if (command.expiresMs !== 0) writer.svarint(command.expiresMs);
  if (compareValue !== null) writer.bytes(compareValue);
  if (comparesRevision) {
    writer.svarint(Math.abs(command.compareRevision) <= MAX_REVISION ? command.compareRevision : NEVER_MATCHES);
  }
  if (command.value !== null) writer.bytes(command.value);
}

function readSet(reader: ByteReader): SetOperation {
  const key = reader.string();
  const shape = reader.u8();
  const flags = reader.u8();
  const expiresMs = (shape & HAS_EXPIRY) !== 0 ? reader.svarint() : 0;
  const compareValue = (shape & HAS_COMPARE_VALUE) !== 0 ? reader.bytes() : null;
  const compareRevision = (shape & HAS_COMPARE_REVISION) !== 0 ? reader.svarint() : 0;
  const value = (shape & HAS_VALUE) !== 0 ? reader.bytes() : null;
  const durability = (shape & PERSISTENT) !== 0 ? 1 : 0;
  return { kind: 'set', key, value, expiresMs, flags, compareValue, compareRevision, durability };
}

function writeExtend(writer: ByteWriter, command: ExtendOperation): void {
  writeKey(writer, command.key);
  writer.svarint(command.expiresMs);
  writer.u8(command.durability);
}

function writeFoundCluster(writer: ByteWriter, command: FoundCluster): void {
  writer.string(command.clusterId);
  writer.varint(command.poolSize);
  writer.varint(command.members.length);
  for (const member of command.members) writeFoundingMember(writer, member);
}

function readFoundCluster(reader: ByteReader): FoundCluster {
  const clusterId = reader.string();
  const poolSize = reader.varint();
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more members than bytes');
  const members: FoundingMember[] = [];
  for (let i = 0; i < count; i++) members.push(readFoundingMember(reader));
  return { kind: 'found-cluster', clusterId, poolSize, members };
}

export function writeFoundingMember(writer: ByteWriter, member: FoundingMember): void {
  writer.string(member.endpoint);
  writer.varint(member.nodeId);
  writer.string(member.name);
  writer.varint(member.storageId);
  writer.string(member.clientUrl);
  writer.string(member.consoleUrl);
}

export function readFoundingMember(reader: ByteReader): FoundingMember {
  const endpoint = reader.string();
  const nodeId = reader.varint();
  const name = reader.string();
  const storageId = reader.varint();
  const clientUrl = reader.string();
  return { endpoint, nodeId, name, storageId, clientUrl, consoleUrl: reader.string() };
}

function readDescribeMember(reader: ByteReader): DescribeMember {
  const endpoint = reader.string();
  const name = reader.string();
  const clientUrl = reader.string();
  return { kind: 'describe-member', endpoint, name, clientUrl, consoleUrl: reader.string() };
}

/** The highest stamp in an encoded batch, without decoding its commands: what a node's clock must pass when it appends the entry. */
export function lastStampOf(data: Uint8Array): Hlc {
  const reader = new ByteReader(data);
  const format = reader.u8();
  checkFormat(format);
  reader.varint();
  const stamp = readHlc(reader);
  if (format === FORMAT_POLICY) readPolicy(reader);
  return stampAfter(stamp, Math.max(0, reader.varint() - 1));
}
