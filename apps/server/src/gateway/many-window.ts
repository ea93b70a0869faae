import type { RequestedOperation } from '@kahuna/wire';

/** Items of one request that are under way at the node at a time: bounds memory and the turn that a huge request takes. */
const WINDOW = 1024;

/** Values that one answer may hold (grpc §1.2). One that would hold more is refused as a whole, before it is put together. Bytes. */
export const MAX_MANY_BYTES = 64 * 1024 * 1024;

/**
 * Where the items end that may be under way together, of those from `start` on. Items of one key take effect in their order
 * (keyvalues §14), so a window of writes ends before a key comes up for the second time: two writes under way at once may be reordered by
 * a change of leader.
 */
export function windowEnd(items: readonly RequestedOperation[], start: number): number {
  const limit = Math.min(items.length, start + WINDOW);
  const seen = new Set<string>();
  for (let index = start; index < limit; index++) {
    const { kind, key, durability } = items[index] as RequestedOperation;
    if (kind === 'get' || kind === 'exists') continue;
    const record = `${durability}/${key}`;
    if (seen.has(record)) return index;
    seen.add(record);
  }
  return limit;
}
