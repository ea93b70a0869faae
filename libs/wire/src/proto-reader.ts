import { DecodeError } from '@kahuna/base';

/** Wire types of the protobuf encoding (the deprecated groups are skipped, never read). */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;

const TWO_32 = 4_294_967_296;
/** int64 values whose upper half lies in [−SAFE_HIGH, SAFE_HIGH) are exact as numbers, and all but the least of them safe. */
const SAFE_HIGH = 0x20_0000;

/** Fatal: text that is not UTF-8 must never be stored as replacement characters. A leading U+FEFF belongs to the text. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Node's own method for one-byte text, undefined elsewhere. The type declarations of Node leave it out. */
const nativeLatin1Slice: unknown = typeof Buffer === 'undefined' ? undefined : Reflect.get(Buffer.prototype, 'latin1Slice');

function isLatin1Slice(method: unknown): method is (this: Uint8Array, start: number, end: number) => string {
  return typeof method === 'function';
}

/** Text that is known to be ASCII. One native call in Node.js: building it up from characters takes three times as long. */
const asciiText = isLatin1Slice(nativeLatin1Slice)
  ? (bytes: Uint8Array, start: number, end: number) => nativeLatin1Slice.call(bytes, start, end)
  : (bytes: Uint8Array, start: number, end: number) => strictUtf8.decode(bytes.subarray(start, end));

/** Decodes text; throws {@link DecodeError} unless it is well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array, start = 0, end = bytes.length): string {
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) > 127) return decodeWideUtf8(bytes, start, end);
  }
  return asciiText(bytes, start, end);
}

function decodeWideUtf8(bytes: Uint8Array, start: number, end: number): string {
  try {
    return strictUtf8.decode(bytes.subarray(start, end));
  } catch (error) {
    throw new DecodeError('text is not UTF-8', { cause: error });
  }
}

/**
 * Reads one protobuf message after another without allocating anything but the values asked for. Every method throws
 * {@link DecodeError} rather than read past the end of the message at hand. Bytes are views of the input: whoever keeps
 * them longer copies them.
 */
export class ProtoReader {
  private bytes: Uint8Array = new Uint8Array(0);
  /** Where the next read begins. */
  at = 0;
  /** Where the message at hand ends. */
  end = 0;
  /** What {@link repeatedText} returned last. */
  private lastText = '';
  /** The two halves of the varint read last: a signed upper and an unsigned lower one. */
  private high = 0;
  private low = 0;

  /** Begins to read the message in [start, end) of `bytes`. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get more(): boolean {
    return this.at < this.end;
  }

  /** Field number and wire type of the next field, as they stand on the wire. */
  tag(): number {
    const tag = this.uint32();
    if (tag >>> 3 === 0) throw new DecodeError('field number 0');
    return tag;
  }

  /** Also int32 and enums read as unsigned; excess upper bits are dropped, as the encoding demands. */
  uint32(): number {
    const first = this.bytes[this.at] as number;
    if (first < 128 && this.at < this.end) {
      this.at += 1;
      return first;
    }
    this.readVarint();
    return this.low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** The value if it is a safe integer, else the nearest safe one; {@link exactInt64} has it in full. */
  int64(): number {
    this.readVarint();
    if (this.high >= SAFE_HIGH) return Number.MAX_SAFE_INTEGER;
    // −2^53 itself is a number, and no safe one.
    if (this.high < -SAFE_HIGH || (this.high === -SAFE_HIGH && this.low === 0)) return Number.MIN_SAFE_INTEGER;
    return this.high * TWO_32 + this.low;
  }

  /** The 64-bit integer that {@link int64} read last, in full. */
  exactInt64(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** Any int64, in full. */
  bigInt64(): bigint {
    this.readVarint();
    return this.exactInt64();
  }

  /** Was the 64-bit integer anything but 0? */
  nonZero64(): boolean {
    this.readVarint();
    return this.high !== 0 || this.low !== 0;
  }

  private readVarint(): void {
    const bytes = this.bytes;
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw new DecodeError('truncated varint');
      const byte = bytes[this.at++] as number;
      if (i < 4) low |= (byte & 127) << (7 * i);
      else if (i === 4) {
        low |= (byte & 15) << 28;
        high |= (byte & 127) >>> 4;
      } else if (i < 9) high |= (byte & 127) << (7 * i - 32);
      else high |= (byte & 1) << 31;
      if (byte < 128) {
        this.low = low >>> 0;
        this.high = high;
        return;
      }
    }
    throw new DecodeError('varint too long');
  }

  /** Length of a delimited field, checked against what is left. */
  length(): number {
    const length = this.uint32();
    if (length > this.end - this.at) throw new DecodeError('truncated field');
    return length;
  }

  view(): Uint8Array {
    const length = this.length();
    this.at += length;
    // Not a Buffer, should the input be one: its `slice` does not copy.
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.at - length, length);
  }

  text(): string {
    const length = this.length();
    this.at += length;
    return decodeUtf8(this.bytes, this.at - length, this.at);
  }

  /**
   * As {@link text}, for a field that tends to be what it was in the message before: then it is the same string, which costs a comparison
   * instead of a string, and has its hash already.
   */
  repeatedText(): string {
    const { bytes, at, lastText } = this;
    const length = this.length();
    let same = length === lastText.length;
    const start = this.at;
    for (let i = 0; same && i < length; i++) {
      const byte = bytes[start + i] as number;
      same = byte < 128 && byte === lastText.charCodeAt(i);
    }
    if (same) {
      this.at = start + length;
      return lastText;
    }
    this.at = at;
    this.lastText = this.text();
    return this.lastText;
  }

  /** Steps over a field that the reader does not know. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        this.readVarint();
        break;
      case FIXED64:
        this.advance(8);
        break;
      case DELIMITED:
        this.advance(this.length());
        break;
      case GROUP_START:
        this.skipGroup(tag >>> 3);
        break;
      case FIXED32:
        this.advance(4);
        break;
      default:
        throw new DecodeError(`wire type ${tag & 7}`);
    }
  }

  private advance(count: number): void {
    if (count > this.end - this.at) throw new DecodeError('truncated field');
    this.at += count;
  }

  /** Groups may nest; a loop with a depth instead of recursion, because the depth is the sender's choice. */
  private skipGroup(field: number): void {
    const open = [field];
    while (open.length > 0) {
      const tag = this.tag();
      if ((tag & 7) === GROUP_START) open.push(tag >>> 3);
      else if ((tag & 7) !== GROUP_END) this.skip(tag);
      else if (open.pop() !== tag >>> 3) throw new DecodeError('unbalanced group');
    }
  }
}
