import { HLC_ZERO, type Hlc } from '@kahuna/base';

/** Parts of answers as JSON text. By hand: every digit of a 64-bit integer must stand, and answers are many and small. */
export function hlcJson(t: Hlc): string {
  return `{"n":${t.n},"l":${t.l},"c":${t.c}}`;
}

export const HLC_ZERO_JSON = hlcJson(HLC_ZERO);

/** `null`: no value; `""`: zero bytes. */
export function bytesJson(value: Uint8Array | null): string {
  return value === null ? 'null' : `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`;
}
