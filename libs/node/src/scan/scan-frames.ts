import { type ByteReader, type ByteWriter, DecodeError, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import { type Durability, type PartitionQuery, readDurability, type ScanRow, type ScanShape } from '@kahuna/partition';
import { readResult, writeResult } from '../peer-frame.ts';

/**
 * Scans between nodes: the asking node sends one {@link PartRequest}, the leader answers with pages, each asked for. So a large
 * answer never lies whole in a link that heartbeats share, and whoever does not take it, does not get it.
 */
export interface PartRequest extends PartitionQuery {
  /** The leader fixes the read timestamp: its present, settled before it answers. */
  readonly fixTime: boolean;
  /** Heads to look at, at most, before the part ends short; 0: all. */
  readonly maxLooked: number;
}

export interface PartPage {
  readonly rows: readonly ScanRow[];
  /** Nothing follows: the part is complete, ended short or aborted. */
  readonly last: boolean;
  readonly aborted: boolean;
  /** The part ended short, and everything up to here was looked at. */
  readonly position: string | undefined;
  /** Time that the rows show; zero for the latest state. */
  readonly readTimestamp: Hlc;
}

const ShapeCode = { space: 1, prefix: 2, spaces: 3 } as const;
const HAS_LOWER = 1;
const LOWER_INCLUSIVE = 2;
const HAS_UPPER = 4;
const UPPER_INCLUSIVE = 8;

export function writePartRequest(writer: ByteWriter, request: PartRequest): void {
  writeShape(writer, request.shape);
  writeTime(writer, request.readTimestamp);
  writer.u8((request.plain ? 1 : 0) | (request.fixTime ? 2 : 0));
  writer.u8(request.durability);
  writer.varint(request.maxRows);
  writer.varint(request.maxLooked);
}

export function readPartRequest(reader: ByteReader): PartRequest {
  const shape = readShape(reader);
  const readTimestamp = readTime(reader);
  const flags = reader.u8();
  const durability = readDurability(reader);
  const maxRows = reader.varint();
  return {
    shape,
    readTimestamp,
    plain: (flags & 1) !== 0,
    fixTime: (flags & 2) !== 0,
    durability,
    maxRows,
    maxLooked: reader.varint(),
  };
}

function writeShape(writer: ByteWriter, shape: ScanShape): void {
  writer.u8(ShapeCode[shape.kind]);
  switch (shape.kind) {
    case 'space': {
      const { keySpace, lower, upper } = shape;
      writer.string(keySpace);
      writer.u8(
        (lower === undefined ? 0 : HAS_LOWER) |
          (lower?.inclusive ? LOWER_INCLUSIVE : 0) |
          (upper === undefined ? 0 : HAS_UPPER) |
          (upper?.inclusive ? UPPER_INCLUSIVE : 0),
      );
      if (lower !== undefined) writer.string(lower.key);
      if (upper !== undefined) writer.string(upper.key);
      return;
    }
    case 'prefix':
      writer.string(shape.prefix);
      return;
    case 'spaces':
      writer.string(shape.prefix);
      writeOptional(writer, shape.after);
      return;
  }
}

function readShape(reader: ByteReader): ScanShape {
  const code = reader.u8();
  switch (code) {
    case ShapeCode.space: {
      const keySpace = reader.string();
      const flags = reader.u8();
      const lower = (flags & HAS_LOWER) === 0 ? undefined : { key: reader.string(), inclusive: (flags & LOWER_INCLUSIVE) !== 0 };
      const upper = (flags & HAS_UPPER) === 0 ? undefined : { key: reader.string(), inclusive: (flags & UPPER_INCLUSIVE) !== 0 };
      return { kind: 'space', keySpace, lower, upper };
    }
    case ShapeCode.prefix:
      return { kind: 'prefix', prefix: reader.string() };
    case ShapeCode.spaces: {
      const prefix = reader.string();
      return { kind: 'spaces', prefix, after: readOptional(reader) };
    }
    default:
      throw new DecodeError(`unknown scan ${code}`);
  }
}

export function writePartPage(writer: ByteWriter, page: PartPage): void {
  writer.u8((page.last ? 1 : 0) | (page.aborted ? 2 : 0));
  writeOptional(writer, page.position);
  writeTime(writer, page.readTimestamp);
  writer.varint(page.rows.length);
  for (const row of page.rows) {
    writer.string(row.key);
    writeResult(writer, row.result);
  }
}

/** `durability`: what was asked for; rows do not repeat it. */
export function readPartPage(reader: ByteReader, durability: Durability): PartPage {
  const flags = reader.u8();
  const position = readOptional(reader);
  const readTimestamp = readTime(reader);
  const rows: ScanRow[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const key = reader.string();
    rows.push({ key, durability, result: readResult(reader) });
  }
  return { rows, last: (flags & 1) !== 0, aborted: (flags & 2) !== 0, position, readTimestamp };
}

function writeOptional(writer: ByteWriter, text: string | undefined): void {
  writer.u8(text === undefined ? 0 : 1);
  if (text !== undefined) writer.string(text);
}

function readOptional(reader: ByteReader): string | undefined {
  return reader.u8() === 0 ? undefined : reader.string();
}

/** A client's timestamp: any triple whose physical part is not negative. */
export function writeTime(writer: ByteWriter, t: Hlc): void {
  writer.u8(isZeroHlc(t) ? 0 : 1);
  if (isZeroHlc(t)) return;
  writer.varint(t.l);
  writer.varint(t.c);
  writer.svarint(t.n);
}

export function readTime(reader: ByteReader): Hlc {
  if (reader.u8() === 0) return HLC_ZERO;
  const l = reader.varint();
  const c = reader.varint();
  return { l, c, n: reader.svarint() };
}
