/**
 * Told how an operation ended: true when the server did what was asked, and for a get when it found a value. `ms` is the latency
 * where that is not the time since the operation began, as for a hand-over, which begins when another lets go.
 */
export type Done = (ok: boolean, ms?: number) => void;

/**
 * A store as the load generator drives it. Callbacks, not promises, so that what is measured is the store and its client rather
 * than the generator; `done` is never called inside `put`, `get` or `repeat`.
 */
export type Target = KeyValueTarget | RepeatingTarget;

export interface KeyValueTarget {
  put(key: string, value: Buffer, done: Done): void;
  /** Linearizable. */
  get(key: string, done: Done): void;
  close(): void;
}

/** A store of which always the same is asked: a lock taken and released, the next number, all rows. */
export interface RepeatingTarget {
  /** Once, for a worker (from 0), on what is called `name`. */
  repeat(operation: RepeatedOperation, name: string, worker: number, done: Done): void;
  close(): void;
}

export type KeyValueOperation = 'put' | 'get';

/**
 * `lock`: acquire and release a lock of one's own. `hand-over`: the same lock passes from worker to worker. `hold`: acquire a
 * lock and keep it. `next`: the next number of one sequence. `scan`: all rows below a prefix, in order.
 */
export type RepeatedOperation = 'lock' | 'hand-over' | 'hold' | 'next' | 'scan';
export type Operation = KeyValueOperation | RepeatedOperation;

export type TargetKind =
  | 'etcd-grpc'
  | 'etcd-http2'
  | 'kahuna-batch'
  | 'kahuna-unary'
  | 'redis'
  | 'kahuna-locks'
  | 'kahuna-polled-locks'
  | 'kahuna-lock-stream'
  | 'etcd-locks'
  | 'redis-locks'
  | 'kahuna-sequence'
  | 'kahuna-unary-sequence'
  | 'kahuna-http2-sequence'
  | 'etcd-sequence'
  | 'redis-sequence'
  | 'kahuna-pages'
  | 'kahuna-stream'
  | 'etcd-pages';

export interface TargetSpec {
  readonly kind: TargetKind;
  /** host:port of the node to talk to. */
  readonly address: string;
  /** Pause of a client that found a lock taken, where clients have to ask again; 0 = none. Milliseconds, default 10. */
  readonly retryMs?: number;
  /** Rows that a scan must find. Default 100,000. */
  readonly rows?: number;
}
