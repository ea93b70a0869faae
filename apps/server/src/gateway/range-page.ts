import type { KahunaNode } from '@kahuna/node';
import { type RangeQuery, ResponseType, type ScanAnswer, type ScanRow } from '@kahuna/partition';
import { scanRowBytes } from '@kahuna/wire';

const INT32_MAX = 0x7fff_ffff;
/** What one answer may hold (grpc §1.2, rest §9.3). Bytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * One page as clients know it: cut short of its limit only where one answer could not hold more, because callers take a short page
 * for the end (grpc §7.2, rest §9.3). The node's own pages are smaller; they are read one after the other at the snapshot of the
 * first, which their cursor holds.
 */
export async function readRange(node: KahunaNode, query: RangeQuery, deadlineMs: number): Promise<ScanAnswer> {
  const wanted = query.limit <= 0 || query.limit === INT32_MAX ? Number.POSITIVE_INFINITY : query.limit;
  const rows: ScanRow[] = [];
  let bytes = 0;
  let cursor = query.cursor;
  for (;;) {
    const limit = Number.isFinite(wanted) ? wanted - rows.length : 0;
    const page = await node.scan({ ...query, limit, cursor }, deadlineMs);
    if (page.type !== ResponseType.Get) return page;
    for (const row of page.rows) {
      bytes += scanRowBytes(row);
      rows.push(row);
    }
    // The next of the node's pages is as large as this one at most, or nearly.
    const full = rows.length >= wanted || bytes + bytesOf(page) > MAX_ANSWER_BYTES;
    if (!page.hasMore || full) return { ...page, rows };
    cursor = page.nextCursor;
  }
}

function bytesOf({ rows }: ScanAnswer): number {
  return rows.reduce((sum, row) => sum + scanRowBytes(row), 0);
}
