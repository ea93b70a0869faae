import { assert } from '@kahuna/base';

const TWO_32 = 4_294_967_296;
/** Up to here a loop copies faster than the call that copies. Bytes. */
const SHORT_COPY_BYTES = 32;
const encoder = new TextEncoder();

/**
 * Writes protobuf messages from their last byte to their first.
 *
 * A length stands before what it measures: written forwards, each nesting level costs a pass to learn the sizes, or a copy to
 * close the gap. Written backwards the length is known when its turn comes. So a caller writes fields in descending order,
 * and of each field first the value, then the tag. The slab serves many messages; it grows when one does not fit.
 */
export class ReverseWriter {
  private slab: Uint8Array;
  /** First byte written so far; the next one goes before it. */
  private at: number;
  private readonly slabBytes: number;

  constructor(slabBytes = 64 * 1024) {
    this.slabBytes = slabBytes;
    this.slab = new Uint8Array(slabBytes);
    this.at = slabBytes;
  }

  /** Bytes between the present position and the end of the slab: positions that stay valid when the slab grows. */
  get mark(): number {
    return this.slab.length - this.at;
  }

  /** Forgets everything written after `mark` was taken. */
  rewind(mark: number): void {
    this.at = this.slab.length - mark;
  }

  /** What was written since `mark`: a view, valid until {@link clear}. */
  since(mark: number): Uint8Array {
    return this.slab.subarray(this.at, this.slab.length - mark);
  }

  /** Begins anew: views handed out before will be overwritten. A slab that grew for one large message is given up. */
  clear(): void {
    if (this.slab.length > this.slabBytes) this.slab = new Uint8Array(this.slabBytes);
    this.at = this.slab.length;
  }

  /** Makes room for `count` bytes. Views handed out before keep the old slab. */
  private reserve(count: number): void {
    if (count <= this.at) return;
    const used = this.slab.length - this.at;
    const next = new Uint8Array((used + count) * 2);
    next.set(this.slab.subarray(this.at), next.length - used);
    this.slab = next;
    this.at = next.length - used;
  }

  u8(value: number): void {
    this.reserve(1);
    this.slab[--this.at] = value;
  }

  /** Unsigned 32-bit varint: tags, lengths, uint32 and non-negative int32 fields. */
  uint32(value: number): void {
    if (value < 128) {
      this.u8(value);
      return;
    }
    this.reserve(5);
    const size = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    let rest = value;
    let at = this.at - size;
    this.at = at;
    const slab = this.slab;
    while (rest > 127) {
      slab[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    slab[at] = rest;
  }

  /** Signed fields: int32, int64 and enums. `value` is a safe integer; negative ones take ten bytes. */
  int64(value: number): void {
    if (value >= 0 && value < TWO_32) {
      this.uint32(value);
      return;
    }
    assert(Number.isSafeInteger(value), 'int64 out of the safe range');
    this.int64Halves(Math.floor(value / TWO_32) | 0, value >>> 0);
  }

  /** Any int64. */
  bigInt64(value: bigint): void {
    const near = Number(value);
    // Arithmetic of bigint allocates; what is near an unsafe integer is itself unsafe, so nothing is rounded here.
    if (Number.isSafeInteger(near)) this.int64(near);
    else this.int64Halves(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asUintN(32, value)));
  }

  private int64Halves(signedHigh: number, low: number): void {
    this.reserve(10);
    const high = signedHigh >>> 0;
    let size = 1;
    if (high === 0) {
      for (let rest = low; rest > 127; rest >>>= 7) size += 1;
    } else {
      size = 5;
      for (let rest = high >>> 3; rest > 0; rest >>>= 7) size += 1;
    }
    this.at -= size;
    const slab = this.slab;
    for (let i = 0; i < size; i++) {
      const bits =
        i < 4 ? low >>> (7 * i) : i === 4 ? (low >>> 28) | ((high & 7) << 4) : i < 9 ? high >>> (7 * i - 32) : high >>> 31;
      slab[this.at + i] = (bits & 127) | (i < size - 1 ? 128 : 0);
    }
  }

  raw(bytes: Uint8Array): void {
    const length = bytes.length;
    this.reserve(length);
    this.at -= length;
    if (length > SHORT_COPY_BYTES) {
      this.slab.set(bytes, this.at);
      return;
    }
    for (let i = 0; i < length; i++) this.slab[this.at + i] = bytes[i] as number;
  }

  /** Length-prefixed bytes. */
  bytes(value: Uint8Array): void {
    this.raw(value);
    this.uint32(value.length);
  }

  /** Length-prefixed UTF-8. Short ASCII, the usual key, is written by hand: the encoder's call costs more than the bytes. */
  text(value: string): void {
    const length = value.length;
    if (length > 64 || !this.ascii(value)) {
      this.bytes(encoder.encode(value));
      return;
    }
    this.uint32(length);
  }

  private ascii(value: string): boolean {
    const length = value.length;
    this.reserve(length);
    const start = this.at - length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) return false;
      this.slab[start + i] = code;
    }
    this.at = start;
    return true;
  }
}
