/** Told how an operation ended: true when the server did what was asked, and for a get when it found a value. */
export type Done = (ok: boolean) => void;

/**
 * A store as the load generator drives it. Callbacks, not promises, so that what is measured is the store and its client rather
 * than the generator; `done` is never called inside `put` or `get`.
 */
export interface Target {
  put(key: string, value: Buffer, done: Done): void;
  /** Linearizable. */
  get(key: string, done: Done): void;
  close(): void;
}

export type TargetKind = 'etcd-grpc' | 'etcd-http2' | 'kahuna-batch' | 'kahuna-unary';

export interface TargetSpec {
  readonly kind: TargetKind;
  /** host:port of the node to talk to. */
  readonly address: string;
}
