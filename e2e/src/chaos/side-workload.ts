/** Clients that run beside the key/value clients of a chaos run, and judge what they saw themselves. */
export interface SideWorkload {
  readonly name: string;
  /** Everything that was asked and heard, for the evidence. */
  readonly events: readonly object[];
  start(clients: number): void;
  stop(): Promise<void>;
  /** Ends what goes on beyond `stop`, however the run went. */
  close(): Promise<void>;
  /** Liveness, once all is well: everything must work again within the deadline. Returns what does not. */
  settle(deadlineMs: number): Promise<string | undefined>;
  /** What is wrong with the history, undefined if nothing is. */
  verdict(): string | undefined;
}
