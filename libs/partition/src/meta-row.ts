import { ByteReader, type ByteWriter, DecodeError, HLC_ZERO, type Hlc, type LogIndex, type Term } from '@kahuna/base';
import { type Configuration, readConfiguration, writeConfiguration } from '@kahuna/raft';
import { readFoundingMember, writeFoundingMember } from './batch-codec.ts';
import { readAnyHlc, writeAnyHlc } from './history-commands.ts';
import { readHlc, writeHlc } from './hlc-codec.ts';
import { type Hold, type HoldState, NO_HOLDS } from './holds.ts';
import type { MetaState, RosterMember, SystemState } from './types.ts';

/** What belongs to a group rather than to a key: one row, written in the same batch as the data it covers. */
export interface GroupState {
  appliedIndex: LogIndex;
  /** Term of the entry at `appliedIndex`: together they say where the log must go on. */
  appliedTerm: Term;
  lastStamp: Hlc;
  checksum: number;
  keyCount: number;
  /** Greatest time at which a version that pruning removed had stopped being current; zero while nothing was (keyvalues §10.2). */
  prunedFloor: Hlc;
  /** Last applied configuration; undefined until one stands in the log. */
  configuration: Configuration | undefined;
  /** P0 only. */
  system: SystemState | undefined;
  /** P1 only. */
  meta: MetaState | undefined;
  /** P1 only. */
  holds: HoldState;
}

const FORMAT = 1;
const HAS_CONFIGURATION = 1;
const HAS_SYSTEM = 2;
const HAS_META = 4;
const HAS_HOLDS = 8;
const ROLES: readonly RosterMember['role'][] = ['Learner', 'Voter', 'Leaving'];

export function emptyGroupState(): GroupState {
  return {
    appliedIndex: 0,
    appliedTerm: 0,
    lastStamp: HLC_ZERO,
    checksum: 0,
    keyCount: 0,
    prunedFloor: HLC_ZERO,
    configuration: undefined,
    system: undefined,
    meta: undefined,
    holds: NO_HOLDS,
  };
}

export function writeMetaRow(writer: ByteWriter, state: GroupState): void {
  writer.u8(FORMAT);
  writer.u8(
    (state.configuration === undefined ? 0 : HAS_CONFIGURATION) |
      (state.system === undefined ? 0 : HAS_SYSTEM) |
      (state.meta === undefined ? 0 : HAS_META) |
      (state.holds === NO_HOLDS ? 0 : HAS_HOLDS),
  );
  writer.varint(state.appliedIndex);
  writer.varint(state.appliedTerm);
  writeHlc(writer, state.lastStamp);
  writer.u32(state.checksum);
  writer.varint(state.keyCount);
  writeHlc(writer, state.prunedFloor);
  if (state.configuration !== undefined) writeConfiguration(writer, state.configuration);
  if (state.system !== undefined) writeSystem(writer, state.system);
  if (state.meta !== undefined) writer.varint(state.meta.mapVersion);
  if (state.holds !== NO_HOLDS) writeHolds(writer, state.holds);
}

/** Throws {@link DecodeError} if the row is damaged or of a later format. */
export function decodeMetaRow(row: Uint8Array): GroupState {
  const reader = new ByteReader(row);
  const format = reader.u8();
  if (format !== FORMAT) throw new DecodeError(`group row format ${format} is newer than this release`);
  const shape = reader.u8();
  const state: GroupState = {
    appliedIndex: reader.varint(),
    appliedTerm: reader.varint(),
    lastStamp: readHlc(reader),
    checksum: reader.u32(),
    keyCount: reader.varint(),
    prunedFloor: readHlc(reader),
    configuration: (shape & HAS_CONFIGURATION) !== 0 ? readConfiguration(reader) : undefined,
    system: (shape & HAS_SYSTEM) !== 0 ? readSystem(reader) : undefined,
    meta: (shape & HAS_META) !== 0 ? { mapVersion: reader.varint() } : undefined,
    holds: (shape & HAS_HOLDS) !== 0 ? readHolds(reader) : NO_HOLDS,
  };
  if (reader.remaining > 0) throw new DecodeError('bytes after a group row');
  return state;
}

function writeHolds(writer: ByteWriter, state: HoldState): void {
  writeAnyHlc(writer, state.ceiling);
  writer.varint(state.holds.length);
  for (const { holdId, holderId, timestamp, leaseExpiry } of state.holds) {
    writer.string(holdId);
    writer.string(holderId);
    writeAnyHlc(writer, timestamp);
    writeAnyHlc(writer, leaseExpiry);
  }
}

function readHolds(reader: ByteReader): HoldState {
  const ceiling = readAnyHlc(reader);
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more holds than bytes');
  const holds: Hold[] = [];
  for (let i = 0; i < count; i++) {
    const holdId = reader.string();
    const holderId = reader.string();
    const timestamp = readAnyHlc(reader);
    holds.push({ holdId, holderId, timestamp, leaseExpiry: readAnyHlc(reader) });
  }
  return { ceiling, holds };
}

function writeSystem(writer: ByteWriter, system: SystemState): void {
  writer.string(system.clusterId);
  writer.varint(system.poolSize);
  writer.varint(system.membershipVersion);
  writer.varint(system.members.length);
  for (const member of system.members) {
    writeFoundingMember(writer, member);
    writer.u8(ROLES.indexOf(member.role));
    writer.varint(member.joinedVersion);
  }
}

function readSystem(reader: ByteReader): SystemState {
  const clusterId = reader.string();
  const poolSize = reader.varint();
  const membershipVersion = reader.varint();
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more members than bytes');
  const members: RosterMember[] = [];
  for (let i = 0; i < count; i++) {
    const founding = readFoundingMember(reader);
    const role = ROLES[reader.u8()];
    if (role === undefined) throw new DecodeError('unknown member role');
    members.push({ ...founding, role, joinedVersion: reader.varint() });
  }
  return { clusterId, poolSize, membershipVersion, members };
}
