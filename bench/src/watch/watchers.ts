/** Many watches of one key as the load generator opens them. Each tells `told` every value that is written, once. */
export interface Watchers {
  /** Resolves when every later write will be told. */
  begin(): Promise<void>;
  close(): void;
}

/** `watch`: which one of them; `value`: what was written. */
export type Told = (watch: number, value: Uint8Array) => void;

/** How watches reach the store. */
export type WatchKind =
  /** `Watcher.WatchMany`: what our client library does; the contract's client in some lines. */
  | 'kahuna-many'
  /** One call of `Watcher.Watch` for each. */
  | 'kahuna-calls'
  /** `for await` loops of our client library. */
  | 'kahuna-library'
  /** One stream of etcd's `Watch` for all of a connection, as its clients do. */
  | 'etcd-many'
  /** One stream for each watch. */
  | 'etcd-calls';

export interface WatchSpec {
  readonly kind: WatchKind;
  /** host:port of the node to talk to. */
  readonly address: string;
  readonly key: string;
  /** Over all connections. */
  readonly watches: number;
  readonly connections: number;
}
