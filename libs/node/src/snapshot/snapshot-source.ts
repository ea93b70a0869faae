import { type ByteReader, ByteWriter } from '@kahuna/base';
import type { EngineRange, EngineRow, EngineSnapshot } from '../ports.ts';
import { after } from './snapshot-install.ts';

const MAX_ROWS_PER_CHUNK = 4096;

/** Reads the rows of one partition, in order and in pieces, from one frozen view of the engine. */
export class SnapshotSource {
  private readonly view: EngineSnapshot;
  private readonly extent: readonly EngineRange[];
  private readonly chunkBytes: number;
  private interval = 0;
  private from: Uint8Array | undefined;

  constructor(view: EngineSnapshot, extent: readonly EngineRange[], chunkBytes: number) {
    this.view = view;
    this.extent = extent;
    this.chunkBytes = chunkBytes;
  }

  /** The next piece, encoded; `last` when nothing follows. A piece may be empty. */
  next(done: (error: Error | undefined, chunk: Uint8Array, last: boolean) => void): void {
    const range = this.extent[this.interval];
    if (range === undefined) {
      done(undefined, encodeRows([]), true);
      return;
    }
    const options = { from: this.from ?? range.from, to: range.to, maxRows: MAX_ROWS_PER_CHUNK, maxBytes: this.chunkBytes };
    this.view.scan(options, (error, page) => {
      if (error !== undefined) {
        done(error, EMPTY, false);
        return;
      }
      const last = page.rows.at(-1);
      if (page.more && last !== undefined) {
        this.from = after(last.key);
      } else {
        this.interval++;
        this.from = undefined;
        // An empty interval makes no message of its own.
        if (page.rows.length === 0 && this.interval < this.extent.length) {
          this.next(done);
          return;
        }
      }
      done(undefined, encodeRows(page.rows), this.interval >= this.extent.length);
    });
  }

  close(): void {
    this.view.close();
  }
}

const EMPTY = new Uint8Array(0);

function encodeRows(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): Uint8Array {
  const writer = new ByteWriter(64 * 1024);
  writer.varint(rows.length);
  for (const row of rows) {
    writer.bytes(row.key);
    writer.bytes(row.value);
  }
  return writer.finish();
}

export function decodeRows(reader: ByteReader): EngineRow[] {
  const count = reader.varint();
  const rows: EngineRow[] = [];
  for (let i = 0; i < count; i++) {
    const key = reader.bytes();
    rows.push({ key, value: reader.bytes() });
  }
  return rows;
}
