import { addMs, compareHlc, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import { result } from './evaluate.ts';
import type { HoldCommand, RaiseCeiling } from './history-commands.ts';
import { type OperationResult, ResponseType } from './operation.ts';

/** A pin on the history needed for reads as of `timestamp` (keyvalues §10.3). */
export interface Hold {
  readonly holdId: string;
  readonly holderId: string;
  readonly timestamp: Hlc;
  /** Live while this is later than now. */
  readonly leaseExpiry: Hlc;
}

/**
 * Part of P1's state. Invariants: `ceiling` only grows; it never passes the timestamp of a live hold; no hold is granted below it.
 * Expired holds count for nothing and are dropped by whatever command comes next.
 */
export interface HoldState {
  readonly ceiling: Hlc;
  /** In the order of their granting. */
  readonly holds: readonly Hold[];
}

export const NO_HOLDS: HoldState = Object.freeze({ ceiling: HLC_ZERO, holds: Object.freeze([]) });

/** More holds than this are overload: every one of them is in memory on each node. */
export const MAX_HOLDS = 10_000;

const text = new TextEncoder();

export function liveHolds(holds: readonly Hold[], now: Hlc): readonly Hold[] {
  return holds.every(hold => isLive(hold, now)) ? holds : holds.filter(hold => isLive(hold, now));
}

function isLive(hold: Hold, now: Hlc): boolean {
  return compareHlc(hold.leaseExpiry, now) > 0;
}

/** Smallest timestamp that is protected; zero if nothing is. */
export function effectiveFloor(live: readonly Hold[]): Hlc {
  let floor = HLC_ZERO;
  for (const { timestamp } of live) if (isZeroHlc(floor) || compareHlc(timestamp, floor) < 0) floor = timestamp;
  return floor;
}

/**
 * Answer fields: `value` the hold id in ASCII, `expires` its lease's end, `lastModified` the effective floor (of raise-ceiling: the
 * ceiling), `revision` the number of live holds.
 */
export function evaluateHold(
  state: HoldState,
  command: HoldCommand | RaiseCeiling,
  stamp: Hlc,
): { readonly state: HoldState; readonly answer: OperationResult } {
  const holds = liveHolds(state.holds, stamp);
  const swept = holds === state.holds ? state : { ...state, holds };
  switch (command.kind) {
    case 'hold-acquire':
      return acquire(swept, command, stamp);
    case 'hold-renew': {
      const hold = holds.find(candidate => candidate.holdId === command.holdId);
      if (hold === undefined) return { state: swept, answer: result(ResponseType.DoesNotExist, 0) };
      return lease(swept, hold, addMs(stamp, command.leaseMs));
    }
    case 'hold-release': {
      const rest = holds.filter(hold => hold.holdId !== command.holdId);
      if (rest.length === holds.length) return { state: swept, answer: result(ResponseType.DoesNotExist, 0) };
      return { state: { ...swept, holds: rest }, answer: result(ResponseType.Deleted, 0) };
    }
    case 'hold-floor':
      return { state: swept, answer: result(ResponseType.Get, holds.length, effectiveFloor(holds)) };
    case 'raise-ceiling':
      return raise(swept, command.to, stamp);
  }
}

function acquire(
  state: HoldState,
  command: Extract<HoldCommand, { kind: 'hold-acquire' }>,
  stamp: Hlc,
): { readonly state: HoldState; readonly answer: OperationResult } {
  const { holderId, timestamp, newHoldId } = command;
  const leaseExpiry = addMs(stamp, command.leaseMs);
  const same = state.holds.find(hold => hold.holderId === holderId && compareHlc(hold.timestamp, timestamp) === 0);
  if (same !== undefined) return lease(state, same, leaseExpiry);
  if (compareHlc(timestamp, state.ceiling) < 0) return { state, answer: result(ResponseType.Aborted, 0) };
  if (state.holds.length >= MAX_HOLDS) return { state, answer: result(ResponseType.MustRetry, 0) };
  const hold: Hold = { holdId: newHoldId, holderId, timestamp, leaseExpiry };
  return { state: { ...state, holds: [...state.holds, hold] }, answer: granted(hold) };
}

function lease(state: HoldState, hold: Hold, leaseExpiry: Hlc): { readonly state: HoldState; readonly answer: OperationResult } {
  const renewed = { ...hold, leaseExpiry };
  const holds = state.holds.map(candidate => (candidate === hold ? renewed : candidate));
  return { state: { ...state, holds }, answer: granted(renewed) };
}

function granted(hold: Hold): OperationResult {
  const answer = result(ResponseType.Set, 0);
  answer.value = text.encode(hold.holdId);
  answer.expires = hold.leaseExpiry;
  return answer;
}

/** What was superseded in the future of this entry cannot be removed by anybody yet. */
function raise(state: HoldState, to: Hlc, stamp: Hlc): { readonly state: HoldState; readonly answer: OperationResult } {
  let ceiling = compareHlc(to, stamp) < 0 ? to : stamp;
  for (const { timestamp } of state.holds) if (compareHlc(timestamp, ceiling) < 0) ceiling = timestamp;
  if (compareHlc(ceiling, state.ceiling) < 0) ceiling = state.ceiling;
  return { state: { ...state, ceiling }, answer: result(ResponseType.Set, 0, ceiling) };
}
