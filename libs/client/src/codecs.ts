import { InvalidInputError } from './errors.ts';

/** How values of a program become bytes and come back. */
export interface Codec<Out, In = Out> {
  encode(value: In): Uint8Array;
  /** Throws where the bytes are none of its values. */
  decode(bytes: Uint8Array): Out;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as they are; text given is stored as UTF-8. Values read are copies: a view would keep the whole answer in memory. */
export const bytes: Codec<Uint8Array, Uint8Array | string> = {
  encode: value => (typeof value === 'string' ? encoder.encode(value) : value),
  decode: value => new Uint8Array(value),
};

/** Text as UTF-8. Decoding throws a `TypeError` where the stored bytes are not UTF-8. */
export const text: Codec<string> = {
  encode: value => encoder.encode(value),
  decode: value => decoder.decode(value),
};

/** JSON. The type is the caller's claim: what others wrote is parsed, not checked. Decoding throws a `SyntaxError` on other bytes. */
export function json<T>(): Codec<T> {
  return {
    encode(value) {
      const written: string | undefined = JSON.stringify(value);
      if (written === undefined) throw new InvalidInputError('the value has no JSON form');
      return encoder.encode(written);
    },
    decode: value => JSON.parse(decoder.decode(value)) as T,
  };
}
