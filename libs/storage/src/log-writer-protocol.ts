/**
 * How the node's thread and the log's writing thread talk. The request lies in shared memory, so that a write costs one wake-up and no
 * message; the answer is a message, because the node's thread must not wait. Exactly one write is under way at a time.
 */
export const Control = { State: 0, Fd: 1, Bytes: 2, Position: 3, Buffer: 4 } as const;
export const CONTROL_SLOTS = 5;

/** Values of the slot `Control.State`. */
export const WriterState = { Idle: 0, Write: 1 } as const;

/** A larger buffer, picked up before the write for which the slot `Control.Buffer` announces it. */
export interface GrownBuffer {
  readonly buffer: SharedArrayBuffer;
}

/** Disk trouble to order, for tests. */
export interface LogFaults {
  /** Every write takes so much longer. */
  readonly writeDelayMs?: number;
  /** After so many writes, each one fails with `failCode`. */
  readonly failAfterWrites?: number;
  /** Default EIO. */
  readonly failCode?: string;
}

/** Undefined: durable. */
export type LogWriterAnswer = { readonly code: string; readonly message: string } | undefined;
