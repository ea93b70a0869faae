import { assert, FIRST_DATA_PARTITION, type PartitionId } from '@kahuna/base';
import { jumpHash } from './jump-hash.ts';
import { keySpaceOf, placementGroupOf } from './key-space.ts';
import { xxHash32 } from './xxhash32.ts';

/** Name under which clients know the algorithm of this file (routing §3). */
export const HASH_ALGORITHM = 'kahuna.placement-group-jump-xxh32-v1';

const HIGH_SEED = 0xaaaa_aaaa;
const LOW_SEED = 0x5555_5555;
const encoder = new TextEncoder();
const SCRATCH_BYTES = 1024;
const scratch = new Uint8Array(SCRATCH_BYTES);

/** Bucket of a text that is hashed whole. A lone surrogate counts as U+FFFD, as UTF-8 encoders have it. */
export function bucketOfText(text: string, poolSize: number): number {
  assert(poolSize >= 1, 'the hash pool has at least one partition');
  if (poolSize === 1) return 0;
  if (text.length * 3 <= SCRATCH_BYTES) {
    const { written } = encoder.encodeInto(text, scratch);
    return bucketOfBytes(scratch, written, poolSize);
  }
  const bytes = encoder.encode(text);
  return bucketOfBytes(bytes, bytes.length, poolSize);
}

function bucketOfBytes(bytes: Uint8Array, length: number, poolSize: number): number {
  return jumpHash(xxHash32(bytes, length, HIGH_SEED), xxHash32(bytes, length, LOW_SEED), poolSize);
}

/** Placement of a key, live or stored: the bucket of its placement group. A split never changes it. */
export function bucketOf(key: string, poolSize: number): number {
  return bucketOfText(placementGroupOf(keySpaceOf(key)), poolSize);
}

/** Partition that hash routing chooses for a key. */
export function partitionForKey(key: string, poolSize: number): PartitionId {
  return FIRST_DATA_PARTITION + bucketOf(key, poolSize);
}

/**
 * Remembers the bucket of recently used groups. Two generations make a bounded, nearly least-recently-used cache out of plain maps:
 * when the young one is full it becomes the old one, and what is met there again moves back.
 */
export class PlacementCache {
  readonly poolSize: number;
  private readonly generationEntries: number;
  private young = new Map<string, number>();
  private old = new Map<string, number>();

  /** `maxEntries`: groups remembered, at most. */
  constructor(poolSize: number, maxEntries = 8192) {
    assert(poolSize >= 1, 'the hash pool has at least one partition');
    this.poolSize = poolSize;
    this.generationEntries = Math.max(1, maxEntries >> 1);
  }

  get size(): number {
    return this.young.size + this.old.size;
  }

  bucketOfSpace(keySpace: string): number {
    if (this.poolSize === 1) return 0;
    const group = placementGroupOf(keySpace);
    const known = this.young.get(group);
    if (known !== undefined) return known;
    const bucket = this.old.get(group) ?? bucketOfText(group, this.poolSize);
    if (this.young.size >= this.generationEntries) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(group, bucket);
    return bucket;
  }
}
