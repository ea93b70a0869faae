import type { Rendering } from './render.ts';

/** A stream that text is written to: `process.stdout` and what tests put in its place. */
export interface TextSink {
  write(text: string): boolean;
  once(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
  off(event: 'drain' | 'close' | 'error', listener: () => void): unknown;
}

/** Where results and complaints go, line by line, and how they are rendered. */
export class Output {
  readonly rendering: Rendering;
  private readonly results: TextSink;
  private readonly complaints: TextSink;

  constructor(results: TextSink, complaints: TextSink, rendering: Rendering) {
    this.results = results;
    this.complaints = complaints;
    this.rendering = rendering;
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
    this.complaints.write(`${this.rendering.style.error(text)}\n`);
  }

  /** What helps with a complaint. */
  hint(text: string): void {
    this.complaints.write(`${this.rendering.style.dim(text)}\n`);
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
