import type { RowSink } from '@kahuna/base';
import type { EngineRange, ScanOptions, ScanPage } from '@kahuna/node';

/** Reads that may wait for the disk. */
export interface BlockingReader {
  get(key: Uint8Array): Uint8Array | undefined;
  scan(options: ScanOptions): ScanPage;
  close(): void;
}

/** A state engine whose calls block: it lives in a worker thread, behind {@link serveEngine}. Errors are thrown. */
export interface BlockingEngine extends BlockingReader {
  /** One atomic batch; `rows` hands them over in order. Their bytes are only good during the call. */
  write(rows: (sink: RowSink) => void): void;
  deleteRange(range: EngineRange): void;
  /** A frozen view of this moment. */
  snapshot(): BlockingReader;
  sync(): void;
}

/** Collects a page up to the bounds of a scan. */
export class PageBuilder {
  private readonly rows: { key: Uint8Array; value: Uint8Array }[] = [];
  private bytes = 0;
  private readonly maxRows: number;
  private readonly maxBytes: number;

  constructor({ maxRows, maxBytes }: ScanOptions) {
    this.maxRows = maxRows;
    this.maxBytes = maxBytes;
  }

  /** False: the page is full, and the row is not on it. */
  add(key: Uint8Array, value: Uint8Array): boolean {
    const bytes = this.bytes + key.length + value.length;
    if (this.rows.length > 0 && (this.rows.length >= this.maxRows || bytes > this.maxBytes)) return false;
    this.rows.push({ key, value });
    this.bytes = bytes;
    return true;
  }

  page(more: boolean): ScanPage {
    return { rows: this.rows, more };
  }
}
