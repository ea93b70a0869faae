import type { MapColour } from '../../app/search.ts';
import type { Staleness } from '../../live/use-live.ts';
import type { PartitionRow } from '../../protocol/messages.ts';

/** What one cell of the map tells: a replica of a partition on a node. Word and letter say what the colour says (C8). */
export type CellState = 'leader' | 'last-known' | 'voter' | 'learner' | 'lagging' | 'unreachable' | 'absent';

export interface Cell {
  readonly state: CellState;
  /** For the accessible name and the card. */
  readonly word: string;
  readonly letter: string;
  /** Nobody leads and an election is under way. */
  readonly moving: boolean;
  readonly stale: boolean;
}

const WORDS: Readonly<Record<CellState, readonly [string, string]>> = {
  leader: ['leader', 'L'],
  'last-known': ['last known leader', 'L?'],
  voter: ['voter', ''],
  learner: ['learner', 'n'],
  lagging: ['voter, behind', 'b'],
  unreachable: ['voter, unreachable', '✕'],
  absent: ['no replica', ''],
};

/** A follower this many entries behind is told apart from one that keeps up. */
const BEHIND_ENTRIES = 1_000;

export function cellOf(row: PartitionRow, nodeId: number, reachable: boolean, staleness: Staleness): Cell {
  const state = stateOf(row, nodeId, reachable);
  const [word, letter] = WORDS[state];
  const moving = row.flags.includes('electing');
  return { state, word: moving ? `${word}, electing` : word, letter, moving, stale: staleness !== 'fresh' };
}

function stateOf(row: PartitionRow, nodeId: number, reachable: boolean): CellState {
  const replica = row.replicas.find(r => r.nodeId === nodeId);
  if (replica === undefined) return 'absent';
  if (row.leader?.nodeId === nodeId) return row.flags.includes('last-known-leader') || !reachable ? 'last-known' : 'leader';
  if (replica.role === 'Learner') return 'learner';
  if (!reachable) return 'unreachable';
  return Number(replica.lag ?? 0) > BEHIND_ENTRIES ? 'lagging' : 'voter';
}

/** Problems of a partition, for the filter and the order. */
export function hasProblem(row: PartitionRow): boolean {
  return (
    row.leader === null ||
    row.checksum?.ok === false ||
    row.flags.some(f => f === 'no-quorum' || f === 'under-replicated' || f === 'two-leaders' || f === 'last-known-leader')
  );
}

/** Step 0 to 8 of the absolute hotness scale: none, under 0.1, then decades from 0.1 per second (console §12.4). */
export function heatStep(perSec: number | null): number | null {
  if (perSec === null) return null;
  if (perSec <= 0) return 0;
  return Math.min(8, Math.max(1, Math.floor(Math.log10(perSec) + 1e-9) + 3));
}

/** Steps of lag in the same scale: 0, then decades of entries. */
export function lagStep(lag: string | null): number | null {
  if (lag === null) return null;
  const entries = Number(lag);
  return entries <= 0 ? 0 : Math.min(8, Math.floor(Math.log10(entries)) + 2);
}

/** Colours of identity in order of node id (console §12.5). */
export const NODE_COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442'] as const;

export function nodeLetter(index: number): string {
  return index < 7 ? String.fromCharCode(65 + index) : String(index + 1);
}

export interface CellPaint {
  readonly background?: string;
  /** Text on a dark or light fill. */
  readonly ink?: 'light' | 'dark';
  readonly letter: string;
}

/** How a cell is filled in each colour mode; role mode is left to the style sheet. */
export function paintOf(colour: MapColour, row: PartitionRow, cell: Cell, nodeId: number, nodeIds: readonly number[]): CellPaint {
  if (cell.state === 'absent' || colour === 'role') return { letter: cell.letter };
  if (colour === 'leader') {
    const index = row.leader === null ? -1 : nodeIds.indexOf(row.leader.nodeId);
    const fill = NODE_COLOURS[index];
    if (index < 0) return { letter: '?' };
    return { letter: nodeLetter(index), ...(fill === undefined ? {} : { background: fill, ink: 'dark' as const }) };
  }
  const replica = row.replicas.find(r => r.nodeId === nodeId);
  const step = colour === 'lag' ? lagStep(replica?.lag ?? null) : heatStep(cell.state === 'leader' ? loadOf(row) : null);
  return step === null ? { letter: cell.letter } : { letter: cell.letter, background: `var(--heat-${step})`, ink: inkOn(step) };
}

/** Reads and writes together; null when either is not known. */
export function loadOf(row: PartitionRow): number | null {
  const { readsPerSec, writesPerSec } = row.load;
  return readsPerSec === null || writesPerSec === null ? null : readsPerSec + writesPerSec;
}

/** The scale runs the other way in the dark theme; the style sheet turns `light` and `dark` round there. */
function inkOn(step: number): 'light' | 'dark' {
  return step >= 5 ? 'light' : 'dark';
}

export interface Group {
  readonly id: string;
  readonly title: string;
  readonly partitionIds: readonly string[];
}

/** Rows of the map: system, meta, the hash pool, ranges. */
export function groupsOf(rows: readonly PartitionRow[]): readonly Group[] {
  const titles: readonly (readonly [PartitionRow['kind'], string])[] = [
    ['system', 'system'],
    ['meta', 'meta'],
    ['hash', 'hash pool'],
    ['range', 'ranges'],
  ];
  return titles
    .map(([kind, title]) => ({
      id: kind,
      title,
      partitionIds: rows
        .filter(r => r.kind === kind)
        .map(r => r.partitionId)
        .sort((a, b) => a - b)
        .map(String),
    }))
    .filter(group => group.partitionIds.length > 0);
}
