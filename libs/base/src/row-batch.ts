import { assert } from './assert.ts';
import { ByteReader, ByteWriter, DecodeError } from './bytes.ts';

/** Stands for the length of a value: the row is to be deleted. */
const DELETED = 0xffff_ffff;
const SLAB_BYTES = 64 * 1024;
const NOWHERE = -1;

/** Gets the rows of a batch in order; undefined deletes. The bytes are views into the batch. */
export type RowSink = (key: Uint8Array, value: Uint8Array | undefined) => void;

export interface BatchRow {
  readonly key: Uint8Array;
  /** undefined deletes. */
  readonly value: Uint8Array | undefined;
}

/**
 * Rows of one atomic write to a state engine, encoded while they are made, so that a flush of a thousand rows makes no object for any.
 *
 *     batch.key() ──write the key──▶ batch.value() ──write the value──▶ batch.end()
 *                                └──▶ batch.deleted()
 *
 * Encoded, a row is key length u32, key, value length u32 (all ones: deleted), value. Later rows win over earlier ones with the same key.
 */
export class RowBatch {
  private readonly out: ByteWriter;
  private encoded: Uint8Array | undefined;
  private lengthAt = NOWHERE;
  private rows = 0;

  constructor(slabBytes = SLAB_BYTES) {
    this.out = new ByteWriter(slabBytes);
  }

  static of(rows: readonly BatchRow[]): RowBatch {
    const batch = new RowBatch(rows.reduce((bytes, { key, value }) => bytes + key.length + (value?.length ?? 0) + 8, 256));
    for (const { key, value } of rows) {
      batch.key().raw(key);
      if (value === undefined) {
        batch.deleted();
      } else {
        batch.value().raw(value);
        batch.end();
      }
    }
    return batch;
  }

  /** Complete rows. */
  get count(): number {
    return this.rows;
  }

  /** Begins a row: what is written to the result is its key. The writer is the batch's: `finish` is not for the caller. */
  key(): ByteWriter {
    assert(this.lengthAt === NOWHERE, 'one row at a time');
    this.encoded = undefined;
    this.lengthAt = this.out.placeholderU32();
    return this.out;
  }

  /** The key is complete: what is written to the result is the value. */
  value(): ByteWriter {
    this.patch();
    this.lengthAt = this.out.placeholderU32();
    return this.out;
  }

  end(): void {
    this.patch();
    this.rows++;
  }

  /** The key is complete, and its row goes. */
  deleted(): void {
    this.patch();
    this.out.u32(DELETED);
    this.rows++;
  }

  private patch(): void {
    assert(this.lengthAt !== NOWHERE, 'a length follows the bytes that it counts');
    this.out.patchU32(this.lengthAt, this.out.length - this.lengthAt - 4);
    this.lengthAt = NOWHERE;
  }

  /** All rows, for {@link decodeRows}: a view that {@link clear} makes void. */
  bytes(): Uint8Array {
    assert(this.lengthAt === NOWHERE, 'the last row is complete');
    this.encoded ??= this.out.written();
    return this.encoded;
  }

  forEach(sink: RowSink): void {
    decodeRows(this.bytes(), sink);
  }

  /** Copies, for whoever wants to keep them. */
  toArray(): BatchRow[] {
    const rows: BatchRow[] = [];
    this.forEach((key, value) => {
      rows.push({ key: key.slice(), value: value?.slice() });
    });
    return rows;
  }

  /**
   * Hands its memory over with the encoded rows in it, and is empty: for an engine that sends it to another thread instead of copying it. The
   * batch makes new memory when it needs some, unless {@link giveBack} comes first.
   */
  take(): Uint8Array<ArrayBuffer> {
    assert(this.lengthAt === NOWHERE, 'the last row is complete');
    this.encoded = undefined;
    this.rows = 0;
    return this.out.take();
  }

  /** The engine is done with the memory that it took. */
  giveBack(memory: ArrayBuffer): void {
    this.out.adopt(memory);
  }

  /** Begins anew in the same memory. */
  clear(): void {
    this.out.clear();
    this.encoded = undefined;
    this.lengthAt = NOWHERE;
    this.rows = 0;
  }
}

/** Throws {@link DecodeError} for what no {@link RowBatch} encoded. */
export function decodeRows(bytes: Uint8Array, sink: RowSink): void {
  const input = new ByteReader(bytes);
  while (input.remaining > 0) {
    const key = input.raw(input.u32());
    const length = input.u32();
    if (length !== DELETED && length > input.remaining) throw new DecodeError('a value longer than its batch');
    sink(key, length === DELETED ? undefined : input.raw(length));
  }
}
