import { ByteWriter, type Hlc } from '@kahuna/base';
import { expect, test } from 'vitest';
import { decodeBatch, encodeBatch } from './batch-codec.ts';
import { LOCK_ROWS } from './locks.ts';
import { decodeMetaRow, emptyGroupState, writeMetaRow } from './meta-row.ts';
import { Durability } from './operation.ts';
import type { CommandBatch } from './types.ts';
import { decodePast, decodeVersion, Version, writeHead, writePast } from './version.ts';

/**
 * What releases have written stays readable (decision 0007): each line is a recording. Where one fails, data directories and logs of
 * running clusters cannot be read any more: give the new form a new version, keep the reader of the old one, and add a line.
 */
interface Recording {
  readonly what: string;
  readonly bytes: string;
  readonly write: (writer: ByteWriter) => void;
  readonly read: (bytes: Uint8Array) => unknown;
  readonly means: unknown;
}

const at = (l: number, c = 0): Hlc => ({ n: 3, l, c });
const owner = Uint8Array.of(1, 2);
const id = { node: 3, boot: 5, number: 7 };

const sets: CommandBatch = {
  stamp: at(1_700_000_000_000, 2),
  level: 1,
  proposals: [
    {
      id,
      receipt: at(1_699_999_999_990),
      command: {
        kind: 'set',
        key: 'a/b',
        value: owner,
        expiresMs: 1000,
        flags: 16,
        compareValue: null,
        compareRevision: 0,
        durability: Durability.Persistent,
      },
    },
  ],
};

const locks: CommandBatch = {
  stamp: at(1_700_000_000_000),
  level: 1,
  policy: { lockSkewMs: 500, blockSize: 1000, retentionMax: 256, retentionMs: 600_000 },
  proposals: [
    {
      id,
      receipt: at(1_700_000_000_000),
      command: { kind: 'lock-acquire', key: 'l', owner, expiresMs: 1000, durability: Durability.Persistent },
    },
  ],
};

const version = new Version(7, owner, at(1000), at(9000), true, undefined);
const state = {
  ...emptyGroupState(),
  appliedIndex: 12,
  appliedTerm: 3,
  lastStamp: at(1000, 1),
  checksum: 0xdead_beef,
  keyCount: 2,
};
const members = [
  { replicaId: 1001, nodeId: 1 },
  { replicaId: 1002, nodeId: 2 },
];
const founded = {
  ...state,
  configuration: { voters: members, outgoing: members.slice(1), learners: [{ replicaId: 300, nodeId: 3 }] },
};
const lock = { owner, expires: at(5000), term: 4, token: 6, lapsed: false };

const RECORDINGS: readonly Recording[] = [
  {
    what: 'entry of format 1',
    bytes: '01010380d095ffbc3102010305070314000103612f621310d00f020102',
    write: w => encode(w, sets),
    read: decodeBatch,
    means: sets,
  },
  {
    what: 'entry of format 2, with a policy',
    bytes: '02010380d095ffbc3100f403e8078002c0cf240103050703000004016c020102d00f01',
    write: w => encode(w, locks),
    read: decodeBatch,
    means: locks,
  },
  {
    what: 'head row',
    bytes: '01050703e8070003a846000102',
    write: w => writeHead(w, version),
    read: decodeVersion,
    means: version,
  },
  {
    what: 'history row',
    bytes: '01250703e8070003a8460003d00f000102',
    write: w => writePast(w, version, at(2000)),
    read: decodePast,
    means: { archived: true, end: at(2000) },
  },
  {
    what: 'group row',
    bytes: '01000c0303e80701efbeadde02000000',
    write: w => writeMetaRow(w, state),
    read: decodeMetaRow,
    means: state,
  },
  {
    what: 'group row with a configuration',
    bytes: '01010c0303e80701efbeadde0200000002e90701ea070201ea070201ac0203',
    write: w => writeMetaRow(w, founded),
    read: decodeMetaRow,
    means: founded,
  },
  { what: 'lock row', bytes: '01010604038827000102', write: w => LOCK_ROWS.write(w, lock), read: LOCK_ROWS.decode, means: lock },
];

function encode(writer: ByteWriter, batch: CommandBatch): void {
  writer.raw(encodeBatch(new ByteWriter(), batch));
}

for (const { what, bytes, write, read, means } of RECORDINGS) {
  test(`what a release wrote is read for ever: ${what}`, () => {
    const writer = new ByteWriter();
    write(writer);
    expect(Buffer.from(writer.finish()).toString('hex')).toBe(bytes);
    const decoded = read(new Uint8Array(Buffer.from(bytes, 'hex')));
    expect(plain(decoded)).toEqual(plain(means));
  });
}

/** Views and copies of the same bytes are the same. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member) => (member instanceof Uint8Array ? Buffer.from(member).toString('hex') : member)),
  );
}
