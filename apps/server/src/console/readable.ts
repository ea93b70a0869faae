import { type Hlc, isZeroHlc } from '@kahuna/base';

/** Wall-clock milliseconds of a timestamp; null for none. */
export function wallOf(stamp: Hlc): number | null {
  return isZeroHlc(stamp) ? null : stamp.l;
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Bytes as a person reads them: text where every character can be seen, else shortened hex. */
export function readable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  if (/^[\p{L}\p{N}\p{P}\p{S} ]+$/u.test(text) && !text.includes('\ufffd')) {
    return text.length > 120 ? `${text.slice(0, 119)}…` : text;
  }
  const hex = Buffer.from(bytes).toString('hex');
  return hex.length > 24 ? `0x${hex.slice(0, 8)}…${hex.slice(-4)}` : `0x${hex}`;
}
