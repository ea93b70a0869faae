import type { Rendering } from './render.ts';
import type { Style } from './style.ts';

/** A stream that text is written to: `process.stdout` and what tests put in its place. */
export interface TextSink {
  write(text: string): boolean;
  once(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
  off(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
}

/** Where complaints go. They may be read by somebody while the results are read by a program, and the other way round. */
export interface Complaints {
  readonly sink: TextSink;
  readonly style: Style;
  /** Somebody reads them: advice is welcome. */
  readonly terminal: boolean;
}

/** Where results and complaints go, line by line, and how they are rendered. */
export class Output {
  readonly rendering: Rendering;
  private readonly results: TextSink;
  private readonly complaints: Complaints;

  constructor(results: TextSink, rendering: Rendering, complaints: Complaints) {
    this.results = results;
    this.rendering = rendering;
    this.complaints = complaints;
  }

  /** Resolves at once, unless the reader is slow: then when it has caught up. Long results wait for it, or they would fill the memory. */
  async line(text: string): Promise<void> {
    if (!this.results.write(`${text}\n`)) await drained(this.results);
  }

  /** As it is, without a line end. */
  async raw(text: string): Promise<void> {
    if (!this.results.write(text)) await drained(this.results);
  }

  complaint(text: string): void {
    this.complaints.sink.write(`${this.complaints.style.error(text)}\n`);
  }

  /** What belongs to a complaint, whoever reads it. */
  remark(text: string): void {
    this.complaints.sink.write(`${this.complaints.style.dim(text)}\n`);
  }

  /** What helps a person with a complaint; programs that compare lines are spared it. */
  advice(text: string): void {
    if (this.complaints.terminal) this.remark(text);
  }
}

function drained(sink: TextSink): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error'] as const) sink.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error'] as const) sink.once(event, done);
  });
}
