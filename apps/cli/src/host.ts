import type { Kahuna, KahunaOptions } from '@kahuna/client';
import type { TextSink } from './output/output.ts';
import type { Terminal } from './shell/terminal.ts';

/** The process around the command line. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  /** Where somebody types and reads; undefined where input or output is a pipe or a file. */
  readonly terminal: Terminal | undefined;
  /** A terminal shows the results, wherever the input comes from. */
  readonly outputIsTerminal: boolean;
  /** A terminal shows what is wrong. */
  readonly errorsAreTerminal: boolean;
  /** Fires on Ctrl+C and when the program is told to end, unless the terminal is in the hands of the line editor. */
  readonly interrupted: AbortSignal;
  /** Loads the client library, which costs more than the rest of a start together, and finds an endpoint that answers. */
  readonly connect: (options: KahunaOptions & { readonly endpoints: readonly string[] }, signal: AbortSignal) => Promise<Kahuna>;
}
