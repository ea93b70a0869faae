/**
 * xxHash32 (Yann Collet, "xxHash fast digest algorithm", specification 0.1.1): the 32-bit variant, little-endian lanes.
 * `Math.imul` keeps every product in 32 bits, so nothing here leaves the small-integer path.
 */
const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

function rotl(x: number, r: number): number {
  return (x << r) | (x >>> (32 - r));
}

function laneAt(data: Uint8Array, at: number): number {
  return (
    (data[at] as number) | ((data[at + 1] as number) << 8) | ((data[at + 2] as number) << 16) | ((data[at + 3] as number) << 24)
  );
}

function round(accumulator: number, lane: number): number {
  return Math.imul(rotl((accumulator + Math.imul(lane, P2)) | 0, 13), P1);
}

/** Hash of `data[0 … length)`; uint32. */
export function xxHash32(data: Uint8Array, length: number, seed: number): number {
  let at = 0;
  let h: number;
  if (length >= 16) {
    let a = (seed + P1 + P2) | 0;
    let b = (seed + P2) | 0;
    let c = seed | 0;
    let d = (seed - P1) | 0;
    for (; at <= length - 16; at += 16) {
      a = round(a, laneAt(data, at));
      b = round(b, laneAt(data, at + 4));
      c = round(c, laneAt(data, at + 8));
      d = round(d, laneAt(data, at + 12));
    }
    h = (rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)) | 0;
  } else {
    h = (seed + P5) | 0;
  }
  h = (h + length) | 0;
  for (; at <= length - 4; at += 4) h = Math.imul(rotl((h + Math.imul(laneAt(data, at), P3)) | 0, 17), P4);
  for (; at < length; at++) h = Math.imul(rotl((h + Math.imul(data[at] as number, P5)) | 0, 11), P1);
  h = Math.imul(h ^ (h >>> 15), P2);
  h = Math.imul(h ^ (h >>> 13), P3);
  return (h ^ (h >>> 16)) >>> 0;
}
