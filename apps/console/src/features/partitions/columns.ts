import type { PartitionRow } from '../../protocol/messages.ts';
import { hasProblem } from '../map/cell-model.ts';

export interface Column {
  readonly id: string;
  readonly title: string;
  readonly numeric: boolean;
  /** Of the fixed layout: columns that measured their cells would be laid out anew for every row that is scrolled in. Pixels. */
  readonly width: number;
  /** null sorts last in either direction: unknown is neither small nor large. */
  readonly value: (row: PartitionRow) => number | string | null;
}

/** The lag of the replica that is furthest behind; null when no leader reports it. */
export function maxLag(row: PartitionRow): number | null {
  const known = row.replicas.map(r => r.lag).filter(lag => lag !== null);
  return known.length === 0 ? null : Math.max(...known.map(Number));
}

export const COLUMNS: readonly Column[] = [
  { id: 'id', title: 'id', numeric: false, width: 54, value: r => r.partitionId },
  { id: 'kind', title: 'kind', numeric: false, width: 70, value: r => r.kind },
  { id: 'leader', title: 'leader', numeric: false, width: 86, value: r => r.leader?.nodeId ?? null },
  { id: 'flags', title: 'flags', numeric: false, width: 130, value: r => r.flags.join() },
  { id: 'since', title: 'leads for', numeric: true, width: 98, value: r => (r.leader === null ? null : -r.leader.sinceMs) },
  { id: 'term', title: 'term', numeric: true, width: 54, value: r => Number(r.term) },
  { id: 'replicas', title: 'replicas', numeric: false, width: 224, value: r => r.replicas.length },
  { id: 'lag', title: 'max lag', numeric: true, width: 76, value: maxLag },
  { id: 'reads', title: 'reads', numeric: true, width: 100, value: r => r.load.readsPerSec },
  { id: 'writes', title: 'writes', numeric: true, width: 100, value: r => r.load.writesPerSec },
  {
    id: 'commit',
    title: 'commit index',
    numeric: true,
    width: 112,
    value: r => (r.commitIndex === null ? null : Number(r.commitIndex)),
  },
  { id: 'keys', title: 'keys', numeric: true, width: 80, value: r => r.size.keys },
];

/** Problems first, then by id, unless a column is chosen (console §6.4). */
export function sorted(rows: readonly PartitionRow[], column: string | undefined, descending: boolean): readonly PartitionRow[] {
  const chosen = COLUMNS.find(c => c.id === column);
  if (chosen === undefined) {
    return [...rows].sort((a, b) => Number(hasProblem(b)) - Number(hasProblem(a)) || a.partitionId - b.partitionId);
  }
  const direction = descending ? -1 : 1;
  return [...rows].sort((a, b) => compare(chosen.value(a), chosen.value(b), direction) || a.partitionId - b.partitionId);
}

function compare(a: number | string | null, b: number | string | null, direction: 1 | -1): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a === b ? 0 : (a < b ? -1 : 1) * direction;
}

/** `17`, `p17`, a kind, a flag or a node's name. */
export function matchesText(row: PartitionRow, text: string, nameOf: (nodeId: number) => string): boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return true;
  const number = /^p?(\d+)$/.exec(wanted)?.[1];
  if (number !== undefined) return row.partitionId === Number(number);
  return [row.kind, ...row.flags, row.leader === null ? '' : nameOf(row.leader.nodeId)].some(part =>
    part.toLowerCase().includes(wanted),
  );
}
