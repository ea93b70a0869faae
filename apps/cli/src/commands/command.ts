import type { Kahuna } from '@kahuna/client';
import type { Options } from '../options/flags.ts';
import type { Output } from '../output/output.ts';
import type { RestCalls } from './rest-calls.ts';

/** What a command has at hand while it runs. */
export interface Call {
  readonly client: Kahuna;
  /** Fires when the user gives up. */
  readonly signal: AbortSignal;
  readonly output: Output;
  readonly json: boolean;
  /** Reads the standard input to its end. */
  readonly input: () => Promise<Uint8Array>;
}

/** Prints its result. False: the answer is printed, and it is one of those that end the program with exit code 1. */
export type Run = (call: Call) => Promise<boolean>;

/** Checks the flags of a command, throws `UsageError`, and gives back what is then to be done. Nothing has been connected yet. */
export type Prepare = (options: Options) => Run;

/** What a command has that asks single nodes. */
export interface NodeCall {
  readonly nodes: RestCalls;
  readonly output: Output;
  readonly json: boolean;
}

/** As {@link Prepare}, for what is asked of single nodes. */
export type PrepareNodeCall = (options: Options) => (call: NodeCall) => Promise<boolean>;

/** Milliseconds for display: whole, by the client's own clock. */
export function stopwatch(): () => string {
  const began = performance.now();
  return () => `${Math.round(performance.now() - began)}ms`;
}
