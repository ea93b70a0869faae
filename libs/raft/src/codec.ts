import { ByteReader, ByteWriter, DecodeError } from '@kahuna/base';
import { makeMessage, NO_ENTRIES } from './message.ts';
import { type Configuration, type Entry, EntryKind, type HardState, type Member, type Message, MessageType } from './types.ts';

/**
 * Binary form of what the core stores and sends. The container (log record, frame) carries length, checksum and version; nothing
 * here repeats them. Integers are varints. Decoders throw {@link DecodeError} on anything the format does not allow, and return
 * entry data as views into the frame: who keeps an entry longer than its frame copies the data.
 *
 *     message:  flags, from, to, term, index, logTerm, commit, [context], [count, entry …]
 *     flags:    bits 0–3 type, 4 reject, 5 force, 6 a context follows, 7 entries follow
 *     entry:    (term above the entry before) × 4 + kind, data. In an Append indexes follow from `index`, and terms from `logTerm`.
 */

const TYPE_MASK = 0x0f;
const REJECT = 0x10;
const FORCE = 0x20;
const HAS_CONTEXT = 0x40;
const HAS_ENTRIES = 0x80;

export function encodeMessage(out: ByteWriter, message: Message): void {
  const count = message.entries.length;
  out.u8(
    message.type |
      (message.reject ? REJECT : 0) |
      (message.force ? FORCE : 0) |
      (message.context !== 0 ? HAS_CONTEXT : 0) |
      (count > 0 ? HAS_ENTRIES : 0),
  );
  out.varint(message.from);
  out.varint(message.to);
  out.varint(message.term);
  out.varint(message.index);
  out.varint(message.logTerm);
  out.varint(message.commit);
  if (message.context !== 0) out.varint(message.context);
  if (count > 0) encodeRun(out, message.entries, message.logTerm);
}

export function decodeMessage(input: ByteReader): Message {
  const flags = input.u8();
  const type = flags & TYPE_MASK;
  if (type < MessageType.Append || type > MessageType.SnapshotInstalled) throw new DecodeError(`unknown message type ${type}`);
  const from = input.varint();
  const to = input.varint();
  const term = input.varint();
  const index = input.varint();
  const logTerm = input.varint();
  const commit = input.varint();
  const context = (flags & HAS_CONTEXT) !== 0 ? input.varint() : 0;
  const entries = (flags & HAS_ENTRIES) !== 0 ? decodeRun(input, index, logTerm, term) : NO_ENTRIES;
  return makeMessage(
    type as MessageType,
    from,
    to,
    term,
    index,
    logTerm,
    commit,
    entries,
    (flags & REJECT) !== 0,
    (flags & FORCE) !== 0,
    context,
  );
}

function encodeRun(out: ByteWriter, entries: readonly Entry[], termBefore: number): void {
  out.varint(entries.length);
  let term = termBefore;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    out.varint((entry.term - term) * 4 + entry.kind);
    out.bytes(entry.data);
    term = entry.term;
  }
}

function decodeRun(input: ByteReader, indexBefore: number, termBefore: number, maxTerm: number): readonly Entry[] {
  const count = input.varint();
  // An entry takes two bytes at least: a count beyond that is a lie, and must not size an array.
  if (count * 2 > input.remaining) throw new DecodeError('more entries than bytes');
  const entries: Entry[] = [];
  let term = termBefore;
  for (let i = 1; i <= count; i++) {
    const head = input.varint();
    term += Math.floor(head / 4);
    if (term > maxTerm) throw new DecodeError('entry of a later term than its message');
    entries.push({ index: indexBefore + i, term, kind: entryKind(head % 4), data: input.bytes() });
  }
  return entries;
}

function entryKind(value: number): EntryKind {
  if (value > EntryKind.Configuration) throw new DecodeError(`unknown entry kind ${value}`);
  return value as EntryKind;
}

/** One entry by itself, as the durable log keeps it. */
export function encodeEntry(out: ByteWriter, entry: Entry): void {
  out.varint(entry.index);
  out.varint(entry.term);
  out.u8(entry.kind);
  out.bytes(entry.data);
}

export function decodeEntry(input: ByteReader): Entry {
  const index = input.varint();
  const term = input.varint();
  return { index, term, kind: entryKind(input.u8()), data: input.bytes() };
}

export function encodeHardState(out: ByteWriter, state: HardState): void {
  out.varint(state.term);
  out.varint(state.vote);
}

export function decodeHardState(input: ByteReader): HardState {
  const term = input.varint();
  return { term, vote: input.varint() };
}

export function writeConfiguration(out: ByteWriter, configuration: Configuration): void {
  writeMembers(out, configuration.voters);
  writeMembers(out, configuration.outgoing);
  writeMembers(out, configuration.learners);
}

export function readConfiguration(input: ByteReader): Configuration {
  const voters = readMembers(input);
  const outgoing = readMembers(input);
  return { voters, outgoing, learners: readMembers(input) };
}

/** The data of a configuration entry. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const out = new ByteWriter(256);
  writeConfiguration(out, configuration);
  return out.finish();
}

export function decodeConfiguration(data: Uint8Array): Configuration {
  const input = new ByteReader(data);
  const configuration = readConfiguration(input);
  if (input.remaining !== 0) throw new DecodeError('bytes behind a configuration');
  return configuration;
}

function writeMembers(out: ByteWriter, members: readonly Member[]): void {
  out.varint(members.length);
  for (const member of members) {
    out.varint(member.replicaId);
    out.varint(member.nodeId);
  }
}

function readMembers(input: ByteReader): Member[] {
  const count = input.varint();
  if (count * 2 > input.remaining) throw new DecodeError('more members than bytes');
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const replicaId = input.varint();
    members.push({ replicaId, nodeId: input.varint() });
  }
  return members;
}
