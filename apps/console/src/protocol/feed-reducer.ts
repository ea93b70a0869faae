import type { DataFrame, KeyedRow, RowValue, SnapFrame, WindowInfo } from './messages.ts';

/**
 * What a browser holds of one subscription, as a pure function of the frames it received (console §5.4).
 *
 *  R1 A delta or append applies only when its `prev` is the last applied `seq`; anything else asks for one resync and changes nothing.
 *  R2 Rows of two streams are never mixed: a snapshot replaces everything, and only when its last part has arrived.
 *  R3 Applying a frame twice gives what applying it once gives: the repeat fails R1.
 *  R4 An append feed holds at most `capacity` items, the newest.
 *  R5 Where the server names an order, the rows stand in it.
 */
export interface FeedState {
  readonly phase: 'empty' | 'ready' | 'awaiting-snapshot';
  readonly stream: string | undefined;
  readonly seq: string;
  readonly rows: ReadonlyMap<string, RowValue>;
  /** What the server says about the rows of a topic that is read on demand. */
  readonly window: WindowInfo | undefined;
  /** Parts of a snapshot under way. */
  readonly pending:
    | { readonly stream: string; readonly seq: string; readonly of: number; readonly parts: readonly SnapFrame[] }
    | undefined;
  /** Items the server dropped for this browser since the last snapshot. */
  readonly missed: number;
  readonly capacity: number;
}

export const EMPTY_FEED: FeedState = {
  phase: 'empty',
  stream: undefined,
  seq: '0',
  rows: new Map(),
  window: undefined,
  pending: undefined,
  missed: 0,
  capacity: 1000,
};

export interface FeedStep {
  readonly state: FeedState;
  /** Keys whose row is different now; `all` after a snapshot. */
  readonly changed: readonly string[] | 'all';
  /** Keys were added or removed. */
  readonly membership: boolean;
  /** The caller must send one `resync` with this reason. */
  readonly resync: string | undefined;
}

export function applyFrame(state: FeedState, frame: DataFrame): FeedStep {
  if (frame.t === 'snap') return applySnap(state, frame);
  if (state.pending !== undefined) {
    // All parts of a snapshot come before the first delta, so the rest of this one is lost.
    return { ...unchanged({ ...state, pending: undefined, phase: 'awaiting-snapshot' }), resync: 'snapshot part missing' };
  }
  if (state.phase !== 'ready') return unchanged(state);
  if (frame.prev !== state.seq) return { ...unchanged({ ...state, phase: 'awaiting-snapshot' }), resync: 'gap' };
  return frame.t === 'append' ? applyAppend(state, frame) : applyDelta(state, frame);
}

/** The state to keep when a connection is lost: a snapshot under way will not be finished. */
export function connectionLost(state: FeedState): FeedState {
  return { ...state, pending: undefined, phase: state.stream === undefined ? 'empty' : 'ready' };
}

function unchanged(state: FeedState): FeedStep {
  return { state, changed: [], membership: false, resync: undefined };
}

function applySnap(state: FeedState, frame: SnapFrame): FeedStep {
  const begun = state.pending;
  const continues =
    begun !== undefined && begun.stream === frame.stream && begun.seq === frame.seq && begun.parts.length + 1 === frame.part;
  if (!continues && frame.part !== 1) {
    return { ...unchanged({ ...state, pending: undefined, phase: 'awaiting-snapshot' }), resync: 'snapshot part missing' };
  }
  const parts = continues ? [...begun.parts, frame] : [frame];
  if (parts.length < frame.of) {
    return unchanged({ ...state, pending: { stream: frame.stream, seq: frame.seq, of: frame.of, parts } });
  }
  const rows = new Map<string, RowValue>();
  for (const part of parts) for (const row of part.rows) rows.set(row.k, row.v);
  const { stream, seq, window } = frame;
  return {
    state: { ...state, phase: 'ready', stream, seq, rows, window, pending: undefined, missed: 0 },
    changed: 'all',
    membership: true,
    resync: undefined,
  };
}

function applyDelta(state: FeedState, frame: Extract<DataFrame, { t: 'delta' }>): FeedStep {
  const rows = new Map(state.rows);
  const changed: string[] = [];
  let membership = false;
  for (const key of frame.del ?? []) {
    if (rows.delete(key)) {
      membership = true;
      changed.push(key);
    }
  }
  for (const { k, v } of frame.put ?? []) {
    membership ||= !rows.has(k);
    rows.set(k, v);
    changed.push(k);
  }
  for (const { k, v } of frame.set ?? []) {
    const before = rows.get(k);
    if (before === undefined) continue; // a set never creates: the row it refines was put before or is gone
    rows.set(k, { ...before, ...v });
    changed.push(k);
  }
  return {
    state: {
      ...state,
      seq: frame.seq,
      rows: frame.order === undefined ? rows : inOrder(rows, frame.order),
      window: frame.window ?? state.window,
    },
    changed,
    membership: membership || frame.order !== undefined,
    resync: undefined,
  };
}

/** Rows the order does not name keep their place behind it, so that a row is never lost to a wrong order. */
function inOrder(rows: ReadonlyMap<string, RowValue>, order: readonly string[]): ReadonlyMap<string, RowValue> {
  const ordered = new Map<string, RowValue>();
  for (const key of order) {
    const row = rows.get(key);
    if (row !== undefined) ordered.set(key, row);
  }
  for (const [key, row] of rows) if (!ordered.has(key)) ordered.set(key, row);
  return ordered;
}

function applyAppend(state: FeedState, frame: Extract<DataFrame, { t: 'append' }>): FeedStep {
  const rows = new Map(state.rows);
  const changed: string[] = [];
  for (const item of frame.items) {
    rows.set(item.seq, item);
    changed.push(item.seq);
  }
  for (const key of rows.keys()) {
    if (rows.size <= state.capacity) break;
    rows.delete(key);
  }
  return {
    state: { ...state, seq: frame.seq, rows, missed: state.missed + frame.missed },
    changed,
    membership: true,
    resync: undefined,
  };
}

/** Rows in the order in which the feed holds them. */
export function rowsOf(state: FeedState): KeyedRow[] {
  return [...state.rows].map(([k, v]) => ({ k, v }));
}
