import {
  type KeyedRow,
  LOCK_SORTS,
  type LockRow,
  type LockSort,
  SEQUENCE_SORTS,
  type SequenceRow,
  type SequenceSort,
} from '@kahuna/console/protocol';

/** null: not known, or nothing to order by; such rows stand last in either direction. */
type Rank = bigint | number | string | null;

const LOCK_RANKS: Readonly<Record<LockSort, (row: LockRow) => Rank>> = {
  expires: row => (row.state === 'held' ? row.expiresMs : null),
  owner: row => row.ownerText,
  token: row => BigInt(row.token),
  refused: row => row.refusals,
  extends: row => row.extends,
};

const SEQUENCE_RANKS: Readonly<Record<SequenceSort, (row: SequenceRow) => Rank>> = {
  mark: row => BigInt(row.currentValue),
  rate: row => row.reservedPerSec,
  remaining: row => (row.remaining === null ? null : BigInt(row.remaining)),
  updated: row => row.updatedMs,
};

/** Whether a list can be ordered so. */
export function isSort(topic: string, sort: unknown): boolean {
  const sorts: readonly unknown[] = topic === 'locks' ? LOCK_SORTS : topic === 'sequences' ? SEQUENCE_SORTS : [];
  return sorts.includes(sort);
}

/** The rows in the order of `sort`; equal ones by name, as they came. */
export function sortedRows(
  kind: 'locks' | 'sequences',
  rows: readonly KeyedRow[],
  sort: string,
  dir: 'asc' | 'desc',
): readonly KeyedRow[] {
  const rankOf = (kind === 'locks' ? LOCK_RANKS[sort as LockSort] : SEQUENCE_RANKS[sort as SequenceSort]) as (
    row: unknown,
  ) => Rank;
  const ranked = rows.map(row => ({ row, rank: rankOf(row.v) }));
  const direction = dir === 'desc' ? -1 : 1;
  ranked.sort((a, b) => compare(a.rank, b.rank, direction));
  return ranked.map(({ row }) => row);
}

function compare(a: Rank, b: Rank, direction: 1 | -1): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a === b ? 0 : (a < b ? -1 : 1) * direction;
}
