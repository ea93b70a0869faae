import { ByteReader, ByteWriter, DecodeError, Rng } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import {
  decodeConfiguration,
  decodeEntry,
  decodeHardState,
  decodeMessage,
  encodeConfiguration,
  encodeEntry,
  encodeHardState,
  encodeMessage,
} from './codec.ts';
import type { Entry, EntryKind, Message, MessageType } from './types.ts';

function encoded(write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter(64);
  write(out);
  return out.finish();
}

/** Values around the places where the varint grows, up to the largest safe integer. */
function number(rng: Rng): number {
  return rng.pick([0, 1, 127, 128, 16_383, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER, rng.uint32()]);
}

function randomMessage(rng: Rng): Message {
  const index = rng.uint32();
  let term = rng.int(0, 5);
  const logTerm = term;
  const entries: Entry[] = [];
  for (let i = 1; i <= rng.int(0, 4); i++) {
    term += rng.int(0, 3);
    const data = Uint8Array.from({ length: rng.int(0, 20) }, () => rng.int(0, 255));
    entries.push({ index: index + i, term, kind: rng.int(0, 2) as EntryKind, data });
  }
  return {
    type: rng.int(1, 10) as MessageType,
    from: number(rng),
    to: number(rng),
    term: term + rng.int(0, 9),
    index,
    logTerm,
    commit: number(rng),
    entries,
    reject: rng.chance(0.5),
    force: rng.chance(0.5),
    context: number(rng),
  };
}

describe('codec', () => {
  test('every message comes back as it was, and its end is found', () => {
    const rng = new Rng(1);
    for (let i = 0; i < 500; i++) {
      const message = randomMessage(rng);
      const bytes = encoded(out => {
        encodeMessage(out, message);
        out.u8(0xee);
      });
      const input = new ByteReader(bytes);
      expect(decodeMessage(input)).toEqual(message);
      expect(input.remaining).toBe(1);
    }
  });

  test('every truncation of a message is refused, and random bytes never do worse', () => {
    const rng = new Rng(2);
    for (let i = 0; i < 200; i++) {
      const bytes = encoded(out => encodeMessage(out, randomMessage(rng)));
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decodeMessage(new ByteReader(bytes, 0, length))).toThrow(DecodeError);
      }
      const noise = Uint8Array.from({ length: rng.int(0, 60) }, () => rng.int(0, 255));
      try {
        decodeMessage(new ByteReader(noise));
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }
  });

  test('an entry count beyond the bytes at hand is refused before anything is sized by it', () => {
    const bytes = encoded(out => {
      out.u8(0x81);
      for (let i = 0; i < 6; i++) out.varint(1);
      out.varint(Number.MAX_SAFE_INTEGER);
    });
    expect(() => decodeMessage(new ByteReader(bytes))).toThrow('more entries than bytes');
  });

  test('entry data is a view into the frame', () => {
    const entry: Entry = { index: 3, term: 2, kind: 1, data: new Uint8Array([1, 2, 3]) };
    const bytes = encoded(out => encodeEntry(out, entry));
    const decoded = decodeEntry(new ByteReader(bytes));
    expect(decoded).toEqual(entry);
    expect(decoded.data.buffer).toBe(bytes.buffer);
  });

  test('hard state and configuration come back as they were', () => {
    const state = { term: 2 ** 40, vote: 77 };
    expect(decodeHardState(new ByteReader(encoded(out => encodeHardState(out, state))))).toEqual(state);
    const configuration = {
      voters: [{ replicaId: 1, nodeId: 101 }],
      outgoing: [{ replicaId: 300, nodeId: 2 ** 31 - 1 }],
      learners: [],
    };
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration);
    expect(() => decodeConfiguration(new Uint8Array([...encodeConfiguration(configuration), 0]))).toThrow(DecodeError);
  });

  test('an append of one short entry costs few bytes besides its data', () => {
    const message: Message = {
      type: 1,
      from: 1,
      to: 2,
      term: 5,
      index: 1000,
      logTerm: 5,
      commit: 999,
      entries: [{ index: 1001, term: 5, kind: 1, data: new Uint8Array(100) }],
      reject: false,
      force: false,
      context: 0,
    };
    expect(encoded(out => encodeMessage(out, message)).length).toBeLessThanOrEqual(112);
  });
});
