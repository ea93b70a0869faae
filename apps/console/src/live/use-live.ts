import { createContext, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';
import { LEVELS, type Level, type Topic, type TopicParams, type TopicRows, type WindowInfo } from '../protocol/messages.ts';
import type { ConnectionStatus } from './connection.ts';
import { isDown } from './connection-state.ts';
import type { FeedPhase, FeedStore } from './feed-store.ts';
import type { LiveClient } from './live-client.ts';
import { SharedClock } from './shared-clock.ts';

export const LiveContext = createContext<LiveClient | undefined>(undefined);

export function useLive(): LiveClient {
  const client = useContext(LiveContext);
  if (client === undefined) throw new Error('LiveContext is missing');
  return client;
}

/** A feed whose rows are of type `T`. */
export interface Feed<T> {
  readonly store: FeedStore;
  /** Never set: carries the row type. */
  readonly row?: T;
}

/** The shared feed of a topic, subscribed while the component is mounted. */
export function useFeed<T extends Topic>(topic: T, params?: TopicParams): Feed<TopicRows[T]> {
  const client = useLive();
  const text = JSON.stringify(params ?? {});
  const store = useMemo(() => client.feed(topic, JSON.parse(text) as TopicParams), [client, topic, text]);
  useEffect(() => client.hold(store), [client, store]);
  return useMemo(() => ({ store }), [store]);
}

export function useRow<T>({ store }: Feed<T>, key: string): T | undefined {
  return useSyncExternalStore(
    useMemo(() => (listener: () => void) => store.onRow(key, listener), [store, key]),
    () => store.row(key) as T | undefined,
  );
}

export function useKeys<T>({ store }: Feed<T>): readonly string[] {
  return useSyncExternalStore(store.keysChanged.subscribe, () => store.keys);
}

/** All rows: for topics with few of them. Large tables take keys, and each row subscribes itself. */
export function useRows<T>({ store }: Feed<T>): readonly T[] {
  return useSyncExternalStore(store.changed.subscribe, () => store.rows) as readonly T[];
}

export function usePhase<T>({ store }: Feed<T>): FeedPhase {
  return useSyncExternalStore(store.keysChanged.subscribe, () => store.phase);
}

export function useWindow<T>({ store }: Feed<T>): WindowInfo | undefined {
  return useSyncExternalStore(store.windowChanged.subscribe, () => store.window);
}

export function useConnection(): ConnectionStatus {
  const { connection } = useLive();
  return useSyncExternalStore(connection.changed.subscribe, () => connection.status);
}

export function useFreeze(): { readonly frozen: boolean; readonly waiting: number } {
  const client = useLive();
  const frozen = useSyncExternalStore(client.freezeChanged.subscribe, () => client.frozen);
  const waiting = useSyncExternalStore(client.freezeChanged.subscribe, () => client.waiting);
  return { frozen, waiting };
}

/** Rows that came or went while the rows are held still. */
export function useWaitingRows(): number {
  const client = useLive();
  return useSyncExternalStore(client.freezeChanged.subscribe, () => client.waitingRows);
}

/** No row comes, goes or moves while `held`. */
export function useHeldRows(held: boolean): void {
  const client = useLive();
  useEffect(() => (held ? client.holdRows() : undefined), [client, held]);
}

/** Since when values are compared with those of that instant; undefined: they are not. */
export function useMarkedAt(): number | undefined {
  const client = useLive();
  return useSyncExternalStore(client.markChanged.subscribe, () => client.markedAtMs);
}

/** The rows of a feed as they were when the user marked them, by key. */
export function useMarked<T>({ store }: Feed<T>): ReadonlyMap<string, T> | undefined {
  const client = useLive();
  return useSyncExternalStore(client.markChanged.subscribe, () => store.marked) as ReadonlyMap<string, T> | undefined;
}

const seconds = new SharedClock(1_000);

/** Wall clock in milliseconds, stepping once a second, the same step for every component. */
export function useNow(): number {
  return useSyncExternalStore(seconds.subscribe, seconds.read);
}

const quarters = new SharedClock(250);

/** The server's wall clock as this browser reckons it, stepping four times a second: for countdowns (console §4.2). */
export function useServerNow(): number {
  const { connection } = useLive();
  const now = useSyncExternalStore(quarters.subscribe, quarters.read);
  return now + (connection.offsetMs ?? 0);
}

/** The console is known to be open at a lower level. Says nothing about the connection: what was read stays readable without one. */
export function useIsBelow(wanted: Level): boolean {
  const { welcome } = useConnection();
  return welcome !== undefined && LEVELS.indexOf(welcome.user.level) < LEVELS.indexOf(wanted);
}

/** Whether this console may do now what needs `wanted`; the server decides again (console §11). */
export function useMay(wanted: Level): boolean {
  const { welcome, state } = useConnection();
  const below = useIsBelow(wanted);
  return welcome !== undefined && !below && !isDown(state);
}

export type Staleness = 'fresh' | 'stale' | 'lost';

export interface SourceFreshness {
  readonly level: Staleness;
  /** null: it never reported. */
  readonly ageMs: number | null;
}

const STALE_MS = 3_000;
const LOST_MS = 15_000;
const FRESH: SourceFreshness = { level: 'fresh', ageMs: 0 };

/** How old the facts of a source are. While the connection is down the age stands still: the banner tells how old the screen is. */
export function useFreshness(nodeId: number): SourceFreshness {
  const { sources, sourcesAtMs, welcomedAtMs, state } = useConnection();
  useNow();
  const source = sources.find(s => s.nodeId === nodeId);
  if (source === undefined || source.state === 'self') return FRESH;
  if (source.ageMs === null) {
    // Others are asked when somebody begins to look: the first answers are on their way, and there is nothing yet that could be stale.
    return performance.now() - welcomedAtMs < STALE_MS ? FRESH : { level: 'lost', ageMs: null };
  }
  const ageMs = source.ageMs + (isDown(state) ? 0 : Math.max(0, performance.now() - sourcesAtMs));
  return { ageMs, level: ageMs > LOST_MS ? 'lost' : ageMs > STALE_MS ? 'stale' : 'fresh' };
}
