/** Where a client finds a key by itself: routing §3, written from the page alone, so that no test shares this with the server. */

const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
const round = (lane: number, word: number): number => Math.imul(rotate((lane + Math.imul(word, P2)) | 0, 13), P1);

/** xxHash32. */
export function hash32(bytes: Buffer, seed: number): number {
  let at = 0;
  let hash = (seed + P5) | 0;
  if (bytes.length >= 16) {
    const lanes = [(seed + P1 + P2) | 0, (seed + P2) | 0, seed | 0, (seed - P1) | 0];
    for (; at + 16 <= bytes.length; at += 16) {
      for (const [i, lane] of lanes.entries()) lanes[i] = round(lane, bytes.readInt32LE(at + 4 * i));
    }
    hash = [1, 7, 12, 18].reduce((sum, by, i) => (sum + rotate(lanes[i] as number, by)) | 0, 0);
  }
  hash = (hash + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(bytes.readInt32LE(at), P3)) | 0, 17), P4);
  }
  for (; at < bytes.length; at++) hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, P5)) | 0, 11), P1);
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function jump(key: bigint, buckets: number): number {
  let k = key;
  let b = -1;
  for (let j = 0; j < buckets; ) {
    b = j;
    k = (k * 2862933555777941757n + 1n) & 0xffff_ffff_ffff_ffffn;
    j = Math.floor((b + 1) * (2 ** 31 / (Number(k >> 33n) + 1)));
  }
  return b;
}

/** The partition of a key in a hash-routed space. */
export function partitionOf(
  key: string,
  metadata: { readonly hashPoolSize: number; readonly hashPartitionOffset: number },
): number {
  const slash = key.lastIndexOf('/');
  const space = slash < 0 ? key : key.slice(0, slash);
  const bar = space.indexOf('|');
  const group = Buffer.from(bar < 0 ? space : space.slice(0, bar));
  const k = (BigInt(hash32(group, 0xaaaa_aaaa)) << 32n) + BigInt(hash32(group, 0x5555_5555));
  return metadata.hashPartitionOffset + jump(k, metadata.hashPoolSize);
}
