import { DecodeError } from '@kahuna/base';

/** Arguments of one call are limited by the engine; this many are safe everywhere. */
const CHUNK_BYTES = 0x2000;

/** Standard alphabet with padding, by means that browsers and Node.js share. */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += CHUNK_BYTES) binary += String.fromCharCode(...bytes.subarray(i, i + CHUNK_BYTES));
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch (error) {
    throw new DecodeError('not base64', { cause: error });
  }
  return Uint8Array.from(binary, unit => unit.charCodeAt(0));
}
