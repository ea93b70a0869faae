import { assert } from './assert.ts';

/** Keeps a leading U+FEFF: it is part of the text, not a mark of its encoding. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
/** Node's own method for text in bytes, undefined elsewhere. The type declarations of Node leave it out. */
const nativeUtf8Slice: unknown = typeof Buffer === 'undefined' ? undefined : Reflect.get(Buffer.prototype, 'utf8Slice');

function isUtf8Slice(method: unknown): method is (this: Uint8Array, start: number, end: number) => string {
  return typeof method === 'function';
}

/**
 * Text in UTF-8; what is none becomes U+FFFD. One native call in Node.js: a text built up from characters is made of pieces, and looking
 * it up in a map, which puts them together, takes longer than all the rest.
 */
const decodeText = isUtf8Slice(nativeUtf8Slice)
  ? (bytes: Uint8Array, start: number, end: number) => nativeUtf8Slice.call(bytes, start, end)
  : (bytes: Uint8Array, start: number, end: number) => decoder.decode(bytes.subarray(start, end));
const encoder = new TextEncoder();
/** {@link ByteWriter.clear} keeps at most this many times the size of a slab. */
const MOST_SLABS_KEPT = 16;

/**
 * Growing buffer for our own binary formats. Integers are LEB128 varints (unsigned, up to 2^53 − 1) unless the name says otherwise.
 * `finish` hands out a view of the slab; the writer goes on behind it, so one writer serves many messages without copying.
 */
export class ByteWriter {
  private buffer: Uint8Array<ArrayBuffer>;
  private view: DataView;
  private start = 0;
  private at = 0;
  private readonly slabBytes: number;

  constructor(slabBytes = 16 * 1024) {
    this.slabBytes = slabBytes;
    this.buffer = new Uint8Array(slabBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Bytes written since the last `finish`. */
  get length(): number {
    return this.at - this.start;
  }

  private reserve(count: number): void {
    if (this.at + count <= this.buffer.length) return;
    const used = this.at - this.start;
    const next = new Uint8Array(Math.max(this.slabBytes, (used + count) * 2));
    next.set(this.buffer.subarray(this.start, this.at));
    this.buffer = next;
    this.view = new DataView(next.buffer);
    this.start = 0;
    this.at = used;
  }

  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  /** Little-endian. */
  u32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  f64(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  /** Two's complement, little-endian; of a value outside int64 the low 64 bits. */
  i64(value: bigint): void {
    this.reserve(8);
    this.view.setBigInt64(this.at, value, true);
    this.at += 8;
  }

  /** Unsigned, 0 … 2^53 − 1. */
  varint(value: number): void {
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, 'varint out of range');
    this.reserve(8);
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.buffer[this.at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      this.buffer[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.at++] = rest;
  }

  /** Signed safe integer, zigzag (magnitude up to 2^52). */
  svarint(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  /** Length-prefixed UTF-8. Short ASCII, the usual key, is written by hand: the encoder's call costs more than the bytes. */
  string(value: string): void {
    const n = value.length;
    if (n <= 48) {
      this.reserve(n + 1);
      const at = this.at + 1;
      let i = 0;
      for (; i < n; i++) {
        const code = value.charCodeAt(i);
        if (code > 127) break;
        this.buffer[at + i] = code;
      }
      if (i === n) {
        this.buffer[this.at] = n;
        this.at = at + n;
        return;
      }
    }
    this.bytes(encoder.encode(value));
  }

  /**
   * Writes the units of a text from `from` on, a byte each, as far as they are ASCII and not zero. Returns the place of the first that is
   * not, or `to`.
   */
  ascii(text: string, from: number, to: number): number {
    this.reserve(to - from);
    const { buffer } = this;
    let { at } = this;
    let i = from;
    for (; i < to; i++) {
      const unit = text.charCodeAt(i);
      if (unit === 0 || unit > 0x7f) break;
      buffer[at++] = unit;
    }
    this.at = at;
    return i;
  }

  /** Leaves room for a u32 that `patchU32` fills in later; returns its position for that call. */
  placeholderU32(): number {
    this.u32(0);
    return this.at - 4 - this.start;
  }

  /** Leaves room for a varint below 2^(7 `bytes`) that `patchVarint` fills in later; returns its position for that call. */
  placeholderVarint(bytes: number): number {
    this.reserve(bytes);
    const position = this.at - this.start;
    this.at += bytes;
    return position;
  }

  /** In exactly so many bytes: readers take the padding as what it is, zeros above the number. */
  patchVarint(position: number, bytes: number, value: number): void {
    assert(value >= 0 && value < 2 ** (7 * bytes), 'a varint fits the room that was left for it');
    let at = this.start + position;
    let rest = value;
    for (let i = 1; i < bytes; i++) {
      this.buffer[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.buffer[at] = rest;
  }

  patchU32(position: number, value: number): void {
    this.view.setUint32(this.start + position, value, true);
  }

  /** What was written since the last `finish` or `clear`, as a view that any further call makes void. */
  written(): Uint8Array {
    return this.buffer.subarray(this.start, this.at);
  }

  /** Begins anew in the same memory, which voids all views handed out. What an exceptional message took is given back. */
  clear(): void {
    if (this.buffer.length > this.mostKept) this.use(new Uint8Array(this.slabBytes));
    this.start = 0;
    this.at = 0;
  }

  private get mostKept(): number {
    return this.slabBytes * MOST_SLABS_KEPT;
  }

  /**
   * Hands over the memory, with what was written since the last `finish` or `clear`: all of it is the caller's, to transfer to another thread
   * for example. The writer begins anew, in new memory unless {@link adopt} comes first.
   */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.buffer.subarray(this.start, this.at);
    this.use(new Uint8Array(0)); // of its own: an empty one may be given away, too
    return taken;
  }

  /** Takes memory back that {@link take} gave away, so that it need not be made again; of no use if the writer has made some meanwhile. */
  adopt(memory: ArrayBuffer): void {
    if (this.buffer.length === 0 && memory.byteLength <= this.mostKept) this.use(new Uint8Array(memory));
  }

  private use(memory: Uint8Array<ArrayBuffer>): void {
    this.buffer = memory;
    this.view = new DataView(memory.buffer);
    this.start = 0;
    this.at = 0;
  }

  /** What was written since the last `finish`: a view that the writer never touches again. */
  finish(): Uint8Array {
    const result = this.buffer.subarray(this.start, this.at);
    this.start = this.at;
    if (this.buffer.length - this.at < 256) this.use(new Uint8Array(this.slabBytes));
    return result;
  }
}

/** Input that is not what its format promises: a peer's frame, a file. Never an assertion, because we did not write it. */
export class DecodeError extends Error {
  override name = 'DecodeError';
}

/** Reads what {@link ByteWriter} wrote. Every method throws {@link DecodeError} instead of reading past the end. */
export class ByteReader {
  private readonly buffer: Uint8Array;
  /** Made when something asks for it: few readers do, and it costs more than most of them read. */
  private lazyView: DataView | undefined;
  private at: number;
  private readonly end: number;

  constructor(buffer: Uint8Array, start = 0, end = buffer.length) {
    this.buffer = plainBytes(buffer);
    this.lazyView = undefined;
    this.at = start;
    this.end = end;
  }

  private get view(): DataView {
    this.lazyView ??= new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength);
    return this.lazyView;
  }

  get position(): number {
    return this.at;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  private need(count: number): void {
    if (count > this.end - this.at) throw new DecodeError('truncated');
  }

  u8(): number {
    this.need(1);
    return this.buffer[this.at++] as number;
  }

  u32(): number {
    this.need(4);
    const value = this.view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  f64(): number {
    this.need(8);
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  i64(): bigint {
    this.need(8);
    const value = this.view.getBigInt64(this.at, true);
    this.at += 8;
    return value;
  }

  varint(): number {
    let result = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      result += (byte & 0x7f) * scale;
      if (byte < 128) {
        if (result > Number.MAX_SAFE_INTEGER) throw new DecodeError('varint too large');
        return result;
      }
      scale *= 128;
    }
    throw new DecodeError('varint too long');
  }

  svarint(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A view into the frame, not a copy: whoever keeps it longer than the frame copies it. */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  raw(count: number): Uint8Array {
    this.need(count);
    const value = this.buffer.subarray(this.at, this.at + count);
    this.at += count;
    return value;
  }

  string(): string {
    const count = this.varint();
    this.need(count);
    const start = this.at;
    this.at += count;
    return decodeText(this.buffer, start, this.at);
  }
}

/** The same bytes, never as Node's Buffer: its `slice` shares where everybody else's copies, and its views cost three times as much. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The bytes in a form that may be kept: a view into something much larger would keep all of it alive, so it is copied out. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength <= bytes.length + bytes.length / 2 + 64 ? bytes : bytes.slice();
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
