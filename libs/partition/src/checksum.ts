/**
 * Running checksum over the effects of a partition: order-sensitive, cheap, 32 bits. It finds replicas that evaluated differently
 * (a bug, or memory that flipped); damage on disk and wire is found by their own checksums.
 */
const PRIME_A = 0x9e3779b1;
const PRIME_B = 0x85ebca77;

export function mix(checksum: number, word: number): number {
  const h = Math.imul(checksum ^ word, PRIME_A);
  return (h ^ (h >>> 15)) | 0;
}

/** Hashes byte strings four bytes at a time. Values of one entry are views of one buffer, so its DataView is kept between calls. */
export class ByteHasher {
  private view: DataView = new DataView(new ArrayBuffer(0));

  hash(bytes: Uint8Array): number {
    if (this.view.buffer !== bytes.buffer) this.view = new DataView(bytes.buffer);
    const { view } = this;
    let at = bytes.byteOffset;
    const end = at + bytes.length;
    let a = bytes.length | 0;
    let b = PRIME_B | 0;
    for (; at + 8 <= end; at += 8) {
      a = Math.imul(a ^ view.getInt32(at, true), PRIME_A);
      b = Math.imul(b ^ view.getInt32(at + 4, true), PRIME_B);
      a ^= a >>> 15;
      b ^= b >>> 13;
    }
    for (; at < end; at++) a = Math.imul(a ^ view.getUint8(at), PRIME_A);
    return mix(a, b);
  }
}
