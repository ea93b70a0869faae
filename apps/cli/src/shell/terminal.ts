import type { TextSink } from '../output/output.ts';

/** A terminal: what is typed arrives key by key in raw mode, and what is written may move the cursor. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: TextSink;
  setRawMode(raw: boolean): void;
  /** Its present width, in columns. */
  columns(): number;
  /** Calls back whenever the width changes, until what it returns is called. */
  onResize(listener: () => void): () => void;
}
