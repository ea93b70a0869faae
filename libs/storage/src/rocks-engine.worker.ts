import { workerData } from 'node:worker_threads';
import { equalBytes, type RowSink } from '@kahuna/base';
import type { EngineRange, ScanOptions, ScanPage } from '@kahuna/node';
import { type RocksIterator, RocksLevel } from '@nxtedition/rocksdb';
import { type BlockingEngine, type BlockingReader, PageBuilder } from './blocking-engine.ts';
import { serveEngine } from './engine-host.ts';

/** The database is opened and closed by the node's thread, which reads points by itself; everything else happens here. */
export interface RocksEngineData {
  readonly handle: bigint;
}

/** Most that one step of an iterator copies, beside one row. Bytes. */
const STEP_BYTES = 256 * 1024;
const STEP_ROWS = 1024;
const BUFFERS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
const NO_OPTIONS = {};
/** Keys are never empty, so this comes before all of them or is the first. The binding can't seek to an empty key. */
const LOWEST_KEY = new Uint8Array(1);

class RocksEngine implements BlockingEngine {
  private readonly database: RocksLevel;

  constructor(database: RocksLevel) {
    this.database = database;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.database._getManySync([key], BUFFERS)[0] ?? undefined;
  }

  write(rows: (sink: RowSink) => void): void {
    const batch = this.database._chainedBatch();
    try {
      rows((key, value) => {
        if (value === undefined) batch._del(key, NO_OPTIONS);
        else batch._put(key, value, NO_OPTIONS);
      });
      batch._writeSync(NO_OPTIONS);
    } finally {
      batch._closeSync();
    }
  }

  deleteRange(range: EngineRange): void {
    if (Buffer.compare(range.from, range.to) >= 0) return;
    this.database._clear({ gte: range.from, lt: range.to }, error => {
      if (error !== null) throw error; // ends this thread, and with it everything that waits for it
    });
    // The tombstone is written by now, but its error comes later. A database whose log could not be written refuses every write from then
    // on, so this one tells in time.
    this.writeNothing(NO_OPTIONS);
  }

  scan(options: ScanOptions): ScanPage {
    const iterator = this.database._iterator({
      gte: options.from,
      lt: options.to,
      reverse: options.reverse ?? false,
      highWaterMarkBytes: Math.min(STEP_BYTES, options.maxBytes),
      ...BUFFERS,
    });
    try {
      return readPage(iterator, options);
    } finally {
      iterator._closeSync();
    }
  }

  snapshot(): BlockingReader {
    return new RocksSnapshot(this.database);
  }

  /** A synced write takes everything before it in the engine's log along. */
  sync(): void {
    this.writeNothing({ sync: true });
  }

  private writeNothing(options: { sync?: boolean }): void {
    const batch = this.database._chainedBatch();
    try {
      batch._writeSync(options);
    } finally {
      batch._closeSync();
    }
  }

  close(): void {
    return; // the node's thread closes what it opened
  }
}

/**
 * The binding has no snapshots, but an iterator is one: it goes on seeing the moment it was made. One for each direction, made in the same step;
 * as all writes come from this thread, both see the same.
 */
class RocksSnapshot implements BlockingReader {
  private readonly forward: RocksIterator;
  private readonly backward: RocksIterator;

  constructor(database: RocksLevel) {
    const options = { highWaterMarkBytes: STEP_BYTES, ...BUFFERS };
    this.forward = database._iterator(options);
    this.backward = database._iterator({ ...options, reverse: true });
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.forward._seekSync(key);
    const [found, value] = this.forward._nextvSync(1, NO_OPTIONS).rows;
    return found !== undefined && equalBytes(found, key) ? value : undefined;
  }

  scan(options: ScanOptions): ScanPage {
    const { from, to, reverse } = options;
    if (Buffer.compare(from, to) >= 0) return { rows: [], more: false };
    if (reverse) {
      this.backward._seekSync(to);
      return readPage(this.backward, options);
    }
    this.forward._seekSync(from.length === 0 ? LOWEST_KEY : from);
    return readPage(this.forward, options);
  }

  close(): void {
    this.forward._closeSync();
    this.backward._closeSync();
  }
}

/** Reads on from where the iterator stands. Rows outside the range end the page, but for those a backward seek may have met at `to`. */
function readPage(iterator: RocksIterator, options: ScanOptions): ScanPage {
  const { from, to, reverse } = options;
  const page = new PageBuilder(options);
  for (;;) {
    const { rows, finished } = iterator._nextvSync(Math.min(STEP_ROWS, options.maxRows + 1), NO_OPTIONS);
    for (let i = 0; i < rows.length; i += 2) {
      const key = rows[i] as Uint8Array;
      const outside = reverse ? Buffer.compare(key, from) < 0 : Buffer.compare(key, to) >= 0;
      if (outside) return page.page(false);
      if (reverse && Buffer.compare(key, to) >= 0) continue;
      if (!page.add(key, rows[i + 1] as Uint8Array)) return page.page(true);
    }
    if (finished) return page.page(false);
  }
}

serveEngine(async () => {
  const database = new RocksLevel((workerData as RocksEngineData).handle);
  await database.open({});
  return new RocksEngine(database);
});
