import { ByteReader, type ByteWriter, DecodeError, type PartitionId } from '@kahuna/base';
import type { LogRecord, LogStart } from '@kahuna/node';
import { type Configuration, type Entry, EntryKind, type HardState, type Member } from '@kahuna/raft';

/**
 * What stands in one write of the file log: items, one after the other.
 *
 *     record | carried:  tag, partition, replica, flags, [term, vote], [index, term, members], entry count, [first index, entry …]
 *     clock bound:       tag, milliseconds
 */
const Tag = { Record: 1, Carried: 2, ClockBound: 3 } as const;
const Flag = { HardState: 1, Start: 2, Reset: 4 } as const;

export interface LogItems {
  record(record: LogRecord, carried: boolean): void;
  clockBound(ms: number): void;
}

/** Bytes that {@link encodeRecord} needs at most. */
export function recordBytesAtMost(record: LogRecord): number {
  let bytes = 80;
  if (record.start !== undefined) {
    const { voters, outgoing, learners } = record.start.configuration;
    bytes += 24 + 16 * (voters.length + outgoing.length + learners.length);
  }
  for (const entry of record.entries) bytes += entryBytesAtMost(entry);
  return bytes;
}

export function entryBytesAtMost(entry: Entry): number {
  return entry.data.length + 20;
}

/** Bytes that {@link encodeClockBound} needs at most. */
export const CLOCK_BOUND_BYTES = 9;

export function encodeClockBound(out: ByteWriter, ms: number): void {
  out.u8(Tag.ClockBound);
  out.varint(ms);
}

export function encodeRecord(out: ByteWriter, record: LogRecord, carried: boolean): void {
  const { hardState, start, entries } = record;
  out.u8(carried ? Tag.Carried : Tag.Record);
  out.varint(record.partitionId);
  out.varint(record.replicaId);
  out.u8((hardState ? Flag.HardState : 0) | (start ? Flag.Start : 0) | (start?.reset ? Flag.Reset : 0));
  if (hardState !== undefined) {
    out.varint(hardState.term);
    out.varint(hardState.vote);
  }
  if (start !== undefined) {
    out.varint(start.index);
    out.varint(start.term);
    encodeConfiguration(out, start.configuration);
  }
  out.varint(entries.length);
  if (entries.length === 0) return;
  out.varint((entries[0] as Entry).index);
  for (const entry of entries) {
    out.varint(entry.term);
    out.u8(entry.kind);
    out.bytes(entry.data);
  }
}

function encodeConfiguration(out: ByteWriter, { voters, outgoing, learners }: Configuration): void {
  for (const members of [voters, outgoing, learners]) {
    out.varint(members.length);
    for (const member of members) {
      out.varint(member.replicaId);
      out.varint(member.nodeId);
    }
  }
}

/** Hands the items of a write to `into`, in order. Entry data views `payload`. Throws {@link DecodeError}. */
export function decodeItems(payload: Uint8Array, into: LogItems): void {
  const input = new ByteReader(payload);
  while (input.remaining > 0) {
    const tag = input.u8();
    if (tag === Tag.ClockBound) into.clockBound(input.varint());
    else if (tag === Tag.Record || tag === Tag.Carried) into.record(decodeRecord(input), tag === Tag.Carried);
    else throw new DecodeError(`unknown log item ${tag}`);
  }
}

function decodeRecord(input: ByteReader): LogRecord {
  const partitionId: PartitionId = input.varint();
  const replicaId = input.varint();
  const flags = input.u8();
  const hardState: HardState | undefined = flags & Flag.HardState ? { term: input.varint(), vote: input.varint() } : undefined;
  const start = flags & Flag.Start ? decodeStart(input, (flags & Flag.Reset) !== 0) : undefined;
  return { partitionId, replicaId, hardState, start, entries: decodeEntries(input) };
}

function decodeStart(input: ByteReader, reset: boolean): LogStart {
  const index = input.varint();
  const term = input.varint();
  const configuration = { voters: decodeMembers(input), outgoing: decodeMembers(input), learners: decodeMembers(input) };
  return { index, term, configuration, reset };
}

function decodeMembers(input: ByteReader): Member[] {
  const members: Member[] = [];
  for (let left = input.varint(); left > 0; left--) members.push({ replicaId: input.varint(), nodeId: input.varint() });
  return members;
}

function decodeEntries(input: ByteReader): Entry[] {
  const count = input.varint();
  const entries: Entry[] = [];
  if (count === 0) return entries;
  const first = input.varint();
  for (let i = 0; i < count; i++) {
    entries.push({ index: first + i, term: input.varint(), kind: entryKind(input.u8()), data: input.bytes() });
  }
  return entries;
}

function entryKind(value: number): EntryKind {
  if (value === EntryKind.Noop || value === EntryKind.Command || value === EntryKind.Configuration) return value;
  throw new DecodeError(`unknown entry kind ${value}`);
}
