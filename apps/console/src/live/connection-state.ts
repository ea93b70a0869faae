/** What the live pill says (console §4.3); freezing is a matter of the page and not of the connection. */
export type ConnectionState = 'connecting' | 'live' | 'lagging' | 'reconnecting' | 'leaving' | 'offline' | 'refused' | 'outdated';

/** Attempts that fail before the way to another node is offered. */
export const ATTEMPTS_BEFORE_LEAVING = 3;
export const OFFLINE_AFTER_MS = 60_000;
/** The server ticks every 2 s: three missed ticks and a bit. */
export const SILENCE_MS = 7_000;

/** All that decides the state; instants on the page's monotonic clock. */
export interface ConnectionFacts {
  readonly nowMs: number;
  /** A snapshot was received at least once on this page. */
  readonly everLive: boolean;
  /** A welcomed socket is open. */
  readonly open: boolean;
  /** Since when there is none; undefined while open. */
  readonly downSinceMs: number | undefined;
  readonly failedAttempts: number;
  readonly saidGoodbye: boolean;
  /** Another node's console that can be opened instead. */
  readonly peerKnown: boolean;
  readonly coalescing: boolean;
  readonly refused: boolean;
  readonly outdated: boolean;
}

/** The first row that applies. */
export function connectionState(facts: ConnectionFacts): ConnectionState {
  if (facts.outdated) return 'outdated';
  if (facts.refused) return 'refused';
  if (facts.open) return facts.everLive ? (facts.coalescing ? 'lagging' : 'live') : 'connecting';
  const downMs = facts.nowMs - (facts.downSinceMs ?? facts.nowMs);
  if (facts.peerKnown && (facts.saidGoodbye || facts.failedAttempts >= ATTEMPTS_BEFORE_LEAVING)) return 'leaving';
  if (downMs >= OFFLINE_AFTER_MS) return 'offline';
  return facts.everLive ? 'reconnecting' : 'connecting';
}

/** Values on the screen are from the past. */
export function isDown(state: ConnectionState): boolean {
  return state === 'reconnecting' || state === 'leaving' || state === 'offline' || state === 'refused';
}
