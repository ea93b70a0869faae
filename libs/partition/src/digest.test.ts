import { ByteWriter, type Hlc, stampAfter } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { bytes, Replica, set } from '../test/replica.ts';
import { type Command, type CommandPolicy, Durability, decodeBatch, encodeBatch } from './index.ts';

const POLICY: CommandPolicy = { lockSkewMs: 500, blockSize: 10, retentionMax: 0, retentionMs: 0 };
const STAMP: Hlc = { n: 1, l: 1_000_000, c: 0 };

/** Checksum of a new partition after these commands. */
function checksumOf(partitionId: number, ...commands: readonly Command[]): number {
  const replica = new Replica({ partitionId });
  const proposals = commands.map((command, number) => ({ id: { node: 1, boot: 1, number }, receipt: STAMP, command }));
  replica.apply(decodeBatch(encodeBatch(new ByteWriter(), { stamp: STAMP, level: 1, policy: POLICY, proposals })));
  return replica.machine.checksum;
}

function lock(owner: string): Command {
  const own = bytes(owner) as Uint8Array;
  return { kind: 'lock-acquire', key: 'door', owner: own, expiresMs: 1000, durability: Durability.Persistent };
}

function sequence(fields: Partial<Extract<Command, { kind: 'sequence-create' }>>): Command {
  return { kind: 'sequence-create', key: 's', initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: 1, ...fields };
}

function hold(timestamp: Hlc, leaseMs = 1000): Command {
  return { kind: 'hold-acquire', newHoldId: 'a'.repeat(32), holderId: 'h', timestamp, leaseMs };
}

function prune(below: number, floor: Hlc): Command {
  const ceiling = stampAfter(STAMP, 100);
  return { kind: 'prune-history', retentionCount: 1, retentionAgeMs: 0, ceiling, floor, keys: [{ key: 'p/a', from: 0, below }] };
}

/** Replicas whose states differ are found by comparing checksums only if the checksum covers what differs. */
describe('the checksum covers', () => {
  test('the owner of a lock', () => {
    expect(checksumOf(2, lock('a'))).not.toBe(checksumOf(2, lock('b')));
  });

  test('every field of a sequence', () => {
    const created = [
      {},
      { initialValue: 1n },
      { initialValue: 1n << 40n },
      { increment: 2n },
      { maxValue: 0n },
      { maxValue: 9n },
      { blockSize: 2 },
    ].map(fields => checksumOf(2, sequence(fields)));
    expect(new Set(created).size).toBe(created.length);
  });

  test('what a hold protects, for how long, and the ceiling', () => {
    const later = stampAfter(STAMP, 1);
    const held = [hold(STAMP), hold(later), hold(STAMP, 2000)].map(command => checksumOf(1, command));
    const raised = [STAMP, { ...STAMP, l: 5 }].map(to => checksumOf(1, { kind: 'raise-ceiling', to }));
    expect(new Set([...held, ...raised]).size).toBe(5);
  });

  test('what was pruned, and the floor', () => {
    const written = [set('p/a', '0'), set('p/a', '1'), set('p/a', '2'), set('p/a', '3')];
    const first = stampAfter(STAMP, 1);
    const pruned = [prune(1, first), prune(2, first), prune(1, stampAfter(STAMP, 2))].map(command =>
      checksumOf(2, ...written, command),
    );
    expect(new Set(pruned).size).toBe(3);
  });
});
