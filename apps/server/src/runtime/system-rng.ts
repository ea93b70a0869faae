import { randomBytes } from 'node:crypto';
import { Rng } from '@kahuna/base';

/** Random numbers of this process; a seed other than 0 makes them repeat (`--raft-election-timeout-seed`, for tests). */
export function systemRng(seed: number): Rng {
  return new Rng(seed === 0 ? randomBytes(4).readUInt32LE(0) : seed);
}
