import { plainBytes, type RowBatch } from '@kahuna/base';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '@kahuna/node';
import { RocksLevel } from '@nxtedition/rocksdb';
import { EngineClient } from './engine-client.ts';
import type { RocksEngineData } from './rocks-engine.worker.ts';

export interface RocksEngineOptions {
  /** Created if missing. */
  readonly directory: string;
  /** Block cache, bytes. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Memory for rows not yet in files, bytes; a quarter of it is one write buffer. Default 64 MiB. */
  readonly writeBufferBytes?: number;
}

const MIB = 1024 * 1024;

/**
 * Opens a state engine on RocksDB. Writes, scans and syncs run in a thread that shares the open database, because the binding writes on
 * the calling one and a write may stall. Its own log stays on and is written through to the system with every batch.
 */
export async function openRocksEngine(options: RocksEngineOptions): Promise<StateEngine> {
  const database = new RocksLevel(options.directory);
  const opening = database.open({
    createIfMissing: true,
    cacheSize: options.cacheBytes ?? 64 * MIB,
    memtableMemoryBudget: options.writeBufferBytes ?? 64 * MIB,
    compaction: 'level',
    walCompression: false, // on by default: ZSTD over every batch costs more than the bytes
  });
  await opening.catch((failure: Error) => {
    throw reasonOf(failure);
  });
  const data: RocksEngineData = { handle: database.handle };
  return new RocksEngine(database, new EngineClient('rocks-engine', data));
}

/** The library's own error only says that the database is not open, or not closed; why is in its cause. */
function reasonOf(failure: Error): Error {
  const { cause } = failure;
  return cause instanceof Error ? new Error(cause.message, { cause: failure }) : failure;
}

class RocksEngine implements StateEngine {
  private readonly database: RocksLevel;
  private readonly client: EngineClient;

  constructor(database: RocksLevel, client: EngineClient) {
    this.database = database;
    this.client = client;
  }

  /**
   * The binding's own asynchronous read: it saves the way to the thread and back, and may use several cores. A row that cannot be read (a block
   * with a wrong checksum) it does not report to the callback: it throws from the event loop, and the process ends with the library's words.
   */
  getMany(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const { refusal } = this.client;
    if (refusal !== undefined) {
      this.client.refuseLater(error => done(error, []), refusal);
      return;
    }
    this.database._getMany(keys, { valueEncoding: 'buffer' }, (error, values = []) => {
      if (error !== null) done(error, []);
      else if (values.includes(null)) done(new Error('the state engine gave up a read'), []);
      else
        done(
          undefined,
          values.map(value => (value ? plainBytes(value) : undefined)),
        );
    });
  }

  write(rows: RowBatch, done: (error: Error | undefined) => void): void {
    this.client.write(rows, done);
  }

  deleteRange(range: EngineRange, done: (error: Error | undefined) => void): void {
    this.client.deleteRange(range, done);
  }

  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void {
    this.client.scan(options, done);
  }

  snapshot(done: (error: Error | undefined, snapshot: EngineSnapshot | undefined) => void): void {
    this.client.snapshot(done);
  }

  sync(done: (error: Error | undefined) => void): void {
    this.client.sync(done);
  }

  /** First the thread, whose iterators must be gone, then the database. */
  close(done: (error: Error | undefined) => void): void {
    this.client.close(error => {
      this.database.close().then(
        () => done(error),
        (failure: Error) => done(error ?? reasonOf(failure)),
      );
    });
  }
}
