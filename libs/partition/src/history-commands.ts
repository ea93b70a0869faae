import { type ByteReader, type ByteWriter, DecodeError, type Hlc } from '@kahuna/base';
import type { HoldOperation } from './scan-operation.ts';

/**
 * Commands about how much history is kept (keyvalues §10).
 *
 *     pruner ── raise-ceiling ──▶ P1: as far as every live hold allows ── ceiling ──▶ pruner ── prune-history ──▶ data partition
 *     client ── hold-acquire ───▶ P1: refused below the ceiling
 *
 * The ceiling only grows and never passes a live hold, and a hold below it is refused; so a prune command that carries it takes nothing
 * that any hold protects, however late it is applied.
 */
export type HistoryCommand = HoldCommand | RaiseCeiling | PruneHistory;

/** To P1. The floor is asked through the log too: no answer is more certain that nothing is protected. */
export type HoldCommand =
  | (Extract<HoldOperation, { kind: 'hold-acquire' }> & { readonly newHoldId: string })
  | Exclude<HoldOperation, { kind: 'hold-acquire' }>;

/** To P1: a pruner would like to remove what was superseded up to `to`. The answer's `lastModified` is the ceiling. */
export interface RaiseCeiling {
  readonly kind: 'raise-ceiling';
  readonly to: Hlc;
}

/** To a data partition: removes history. */
export interface PruneHistory {
  readonly kind: 'prune-history';
  /** Limits by which the leader chose; for whoever reads the log. */
  readonly retentionCount: number;
  readonly retentionAgeMs: number;
  /** Granted by P1. */
  readonly ceiling: Hlc;
  /** Latest time at which one of the removed versions was superseded; not above the ceiling. Becomes the pruned-history floor. */
  readonly floor: Hlc;
  readonly keys: readonly PrunedKey[];
}

/** Revisions `from` … `below` - 1 of a key, all of them superseded, none of an older one kept. */
export interface PrunedKey {
  readonly key: string;
  readonly from: number;
  readonly below: number;
}

const Code = { HoldAcquire: 1, HoldRenew: 2, HoldRelease: 3, HoldFloor: 4, RaiseCeiling: 5, PruneHistory: 6 } as const;

const KINDS: ReadonlySet<string> = new Set([
  'hold-acquire',
  'hold-renew',
  'hold-release',
  'hold-floor',
  'raise-ceiling',
  'prune-history',
]);

export function isHistoryCommand(command: { readonly kind: string }): command is HistoryCommand {
  return KINDS.has(command.kind);
}

export function writeHistoryCommand(writer: ByteWriter, command: HistoryCommand): void {
  switch (command.kind) {
    case 'hold-acquire':
      writer.u8(Code.HoldAcquire);
      writer.string(command.newHoldId);
      writer.string(command.holderId);
      writeAnyHlc(writer, command.timestamp);
      writer.svarint(command.leaseMs);
      return;
    case 'hold-renew':
      writer.u8(Code.HoldRenew);
      writer.string(command.holdId);
      writer.svarint(command.leaseMs);
      return;
    case 'hold-release':
      writer.u8(Code.HoldRelease);
      writer.string(command.holdId);
      return;
    case 'hold-floor':
      writer.u8(Code.HoldFloor);
      return;
    case 'raise-ceiling':
      writer.u8(Code.RaiseCeiling);
      writeAnyHlc(writer, command.to);
      return;
    case 'prune-history':
      writer.u8(Code.PruneHistory);
      writePrune(writer, command);
      return;
  }
}

/** Throws {@link DecodeError}. */
export function readHistoryCommand(reader: ByteReader): HistoryCommand {
  const code = reader.u8();
  switch (code) {
    case Code.HoldAcquire: {
      const newHoldId = reader.string();
      const holderId = reader.string();
      const timestamp = readAnyHlc(reader);
      return { kind: 'hold-acquire', newHoldId, holderId, timestamp, leaseMs: reader.svarint() };
    }
    case Code.HoldRenew: {
      const holdId = reader.string();
      return { kind: 'hold-renew', holdId, leaseMs: reader.svarint() };
    }
    case Code.HoldRelease:
      return { kind: 'hold-release', holdId: reader.string() };
    case Code.HoldFloor:
      return { kind: 'hold-floor' };
    case Code.RaiseCeiling:
      return { kind: 'raise-ceiling', to: readAnyHlc(reader) };
    case Code.PruneHistory:
      return readPrune(reader);
    default:
      throw new DecodeError(`unknown history command ${code}`);
  }
}

function writePrune(writer: ByteWriter, command: PruneHistory): void {
  writer.varint(command.retentionCount);
  writer.varint(command.retentionAgeMs);
  writeAnyHlc(writer, command.ceiling);
  writeAnyHlc(writer, command.floor);
  writer.varint(command.keys.length);
  for (const { key, from, below } of command.keys) {
    writer.string(key);
    writer.varint(from);
    writer.varint(below - from);
  }
}

function readPrune(reader: ByteReader): PruneHistory {
  const retentionCount = reader.varint();
  const retentionAgeMs = reader.varint();
  const ceiling = readAnyHlc(reader);
  const floor = readAnyHlc(reader);
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more keys than bytes');
  const keys: PrunedKey[] = [];
  for (let i = 0; i < count; i++) {
    const key = reader.string();
    const from = reader.varint();
    keys.push({ key, from, below: from + reader.varint() });
  }
  return { kind: 'prune-history', retentionCount, retentionAgeMs, ceiling, floor, keys };
}

/** Clients choose what a hold protects: every field may be anything that fits its type. */
export function writeAnyHlc(writer: ByteWriter, t: Hlc): void {
  writer.svarint(t.n);
  writer.u8(t.l < 0 ? 1 : 0);
  writer.varint(Math.abs(t.l));
  writer.varint(t.c);
}

export function readAnyHlc(reader: ByteReader): Hlc {
  const n = reader.svarint();
  const negative = reader.u8() === 1;
  const magnitude = reader.varint();
  return { n, l: negative ? -magnitude : magnitude, c: reader.varint() };
}
