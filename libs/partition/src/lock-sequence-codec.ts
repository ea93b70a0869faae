import { type ByteReader, type ByteWriter, DecodeError } from '@kahuna/base';
import { isWellFormed } from '@kahuna/range-router';
import type { LockOperation } from './lock-operation.ts';
import type { Durability } from './operation.ts';
import type { SequenceCreate, SequenceUpdate } from './sequence-operation.ts';
import type { SequenceAllocate } from './sequences.ts';

/** Binary forms of lock and sequence operations, in log entries and between nodes. What tells the kinds apart is up to the user. */

/**
 * A key with a lone surrogate does not survive UTF-8. The gateways refuse it; should one come this far, the empty key stands for
 * it, so that the leader, which evaluates the text it was given, and the followers, which decode this, refuse it alike.
 */
export function writeKey(writer: ByteWriter, key: string): void {
  writer.string(isWellFormed(key) ? key : '');
}

export function readDurability(reader: ByteReader): Durability {
  const value = reader.u8();
  if (value > 1) throw new DecodeError(`unknown durability ${value}`);
  return value as Durability;
}

export function writeLock(writer: ByteWriter, command: LockOperation): void {
  writeKey(writer, command.key);
  writer.bytes(command.owner);
  writer.svarint(command.expiresMs);
  writer.u8(command.durability);
}

export function readLock(reader: ByteReader, kind: LockOperation['kind']): LockOperation {
  const key = reader.string();
  const owner = reader.bytes();
  const expiresMs = reader.svarint();
  return { kind, key, owner, expiresMs, durability: readDurability(reader) };
}

/** Bits of a shape byte of sequence commands: which optional parts follow, and what an update removes. */
const HAS_MAX = 1;
const HAS_BLOCK_SIZE = 2;
const HAS_CURRENT = 4;
const HAS_INCREMENT = 8;
const HAS_INITIAL = 16;
const REMOVES_MAX = 32;
const REMOVES_BLOCK_SIZE = 64;

export function writeSequenceCreate(writer: ByteWriter, command: SequenceCreate): void {
  writeKey(writer, command.key);
  writer.u8((command.maxValue === undefined ? 0 : HAS_MAX) | (command.blockSize === undefined ? 0 : HAS_BLOCK_SIZE));
  writer.i64(command.initialValue);
  writer.i64(command.increment);
  if (command.maxValue !== undefined) writer.i64(command.maxValue);
  if (command.blockSize !== undefined) writer.varint(command.blockSize);
}

export function readSequenceCreate(reader: ByteReader): SequenceCreate {
  const key = reader.string();
  const shape = reader.u8();
  const initialValue = reader.i64();
  const increment = reader.i64();
  const maxValue = (shape & HAS_MAX) === 0 ? undefined : reader.i64();
  const blockSize = (shape & HAS_BLOCK_SIZE) === 0 ? undefined : reader.varint();
  return { kind: 'sequence-create', key, initialValue, increment, maxValue, blockSize };
}

export function writeSequenceUpdate(writer: ByteWriter, command: SequenceUpdate): void {
  const { currentValue, increment, initialValue, maxValue, blockSize } = command;
  writeKey(writer, command.key);
  writer.u8(
    (maxValue === undefined ? 0 : HAS_MAX) |
      (blockSize === undefined ? 0 : HAS_BLOCK_SIZE) |
      (currentValue === undefined ? 0 : HAS_CURRENT) |
      (increment === undefined ? 0 : HAS_INCREMENT) |
      (initialValue === undefined ? 0 : HAS_INITIAL) |
      (command.removeMaxValue ? REMOVES_MAX : 0) |
      (command.removeBlockSize ? REMOVES_BLOCK_SIZE : 0),
  );
  if (currentValue !== undefined) writer.i64(currentValue);
  if (increment !== undefined) writer.i64(increment);
  if (initialValue !== undefined) writer.i64(initialValue);
  if (maxValue !== undefined) writer.i64(maxValue);
  if (blockSize !== undefined) writer.varint(blockSize);
}

export function readSequenceUpdate(reader: ByteReader): SequenceUpdate {
  const key = reader.string();
  const shape = reader.u8();
  const currentValue = (shape & HAS_CURRENT) === 0 ? undefined : reader.i64();
  const increment = (shape & HAS_INCREMENT) === 0 ? undefined : reader.i64();
  const initialValue = (shape & HAS_INITIAL) === 0 ? undefined : reader.i64();
  const maxValue = (shape & HAS_MAX) === 0 ? undefined : reader.i64();
  const blockSize = (shape & HAS_BLOCK_SIZE) === 0 ? undefined : reader.varint();
  return {
    kind: 'sequence-update',
    key,
    currentValue,
    increment,
    initialValue,
    maxValue,
    removeMaxValue: (shape & REMOVES_MAX) !== 0,
    blockSize,
    removeBlockSize: (shape & REMOVES_BLOCK_SIZE) !== 0,
  };
}

export function writeAllocate(writer: ByteWriter, command: SequenceAllocate): void {
  const { from } = command;
  writeKey(writer, command.key);
  writer.varint(command.count);
  writer.string(command.idempotencyKey);
  writer.u8(from === undefined ? 0 : 1);
  if (from === undefined) return;
  writer.i64(from.start);
  writer.varint(from.revision);
}

export function readAllocate(reader: ByteReader): SequenceAllocate {
  const key = reader.string();
  const count = reader.varint();
  const idempotencyKey = reader.string();
  const from = reader.u8() === 0 ? undefined : { start: reader.i64(), revision: reader.varint() };
  return { kind: 'sequence-allocate', key, count, idempotencyKey, from };
}
