import { closeSync, fdatasyncSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { workerData } from 'node:worker_threads';
import type { RowSink } from '@kahuna/base';
import type { EngineRange, ScanOptions, ScanPage } from '@kahuna/node';
import Database from 'libsql';
import { type BlockingEngine, type BlockingReader, PageBuilder } from './blocking-engine.ts';
import { crc32 } from './crc32.ts';
import { serveEngine } from './engine-host.ts';

export interface SqliteEngineData {
  readonly file: string;
}

/** The library gives blobs in whole rows as ArrayBuffers, and alone as Buffers. */
type Blob = ArrayBuffer | Uint8Array;
interface Row {
  readonly k: Blob;
  readonly v: Blob;
  /** {@link checksum}; null in rows of before there was one. */
  readonly c: number | null;
}
const STEP_ROWS = 128;

type Connection = InstanceType<typeof Database>;
type Statement = ReturnType<Connection['prepare']>;

/** Reads of one connection. Blobs compare as unsigned bytes, a prefix first (SQLite, "Datatypes", §4.1). */
class SqliteReader implements BlockingReader {
  protected readonly connection: Connection;
  private readonly selectOne: Statement;
  private readonly selectUp: Statement;
  private readonly selectDown: Statement;

  constructor(connection: Connection) {
    this.connection = connection;
    this.selectOne = connection.prepare('SELECT v, c FROM rows WHERE k = ?');
    this.selectUp = connection.prepare('SELECT k, v, c FROM rows WHERE k >= ? AND k < ? ORDER BY k LIMIT ?');
    this.selectDown = connection.prepare('SELECT k, v, c FROM rows WHERE k >= ? AND k < ? ORDER BY k DESC LIMIT ?');
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.selectOne.get([blob(key)]) as Pick<Row, 'v' | 'c'> | undefined;
    return row === undefined ? undefined : checked(key, bytesOf(row.v), row.c);
  }

  /** In steps that are read to their end: a statement left half-way would hold its read transaction open. */
  scan(options: ScanOptions): ScanPage {
    const page = new PageBuilder(options);
    const step = Math.min(options.maxRows + 1, STEP_ROWS);
    let { from, to } = options;
    for (;;) {
      const rows = (options.reverse ? this.selectDown : this.selectUp).all([blob(from), blob(to), step]) as Row[];
      for (const { k, v, c } of rows) {
        const key = bytesOf(k);
        if (!page.add(key, checked(key, bytesOf(v), c))) return page.page(true);
      }
      const last = rows[rows.length - 1];
      if (last === undefined || rows.length < step) return page.page(false);
      if (options.reverse) to = bytesOf(last.k);
      else from = successor(bytesOf(last.k));
    }
  }

  close(): void {
    this.connection.close();
  }
}

class SqliteEngine extends SqliteReader implements BlockingEngine {
  private readonly file: string;
  private readonly upsert: Statement;
  private readonly remove: Statement;
  private readonly removeRange: Statement;
  private journal: number | undefined;

  constructor(file: string) {
    const connection = new Database(file);
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = NORMAL');
    connection.pragma('cache_size = -65536'); // KiB
    connection.exec('CREATE TABLE IF NOT EXISTS rows (k BLOB PRIMARY KEY, v BLOB NOT NULL, c INTEGER) WITHOUT ROWID');
    const columns = connection.prepare("SELECT name FROM pragma_table_info('rows')").all([]) as { name: string }[];
    if (!columns.some(({ name }) => name === 'c')) connection.exec('ALTER TABLE rows ADD COLUMN c INTEGER');
    verify(connection);
    super(connection);
    this.file = file;
    this.upsert = connection.prepare(
      'INSERT INTO rows (k, v, c) VALUES (?, ?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v, c = excluded.c',
    );
    this.remove = connection.prepare('DELETE FROM rows WHERE k = ?');
    this.removeRange = connection.prepare('DELETE FROM rows WHERE k >= ? AND k < ?');
  }

  write(rows: (sink: RowSink) => void): void {
    this.connection.exec('BEGIN');
    try {
      rows((key, value) => {
        if (value === undefined) this.remove.run([blob(key)]);
        else this.upsert.run([blob(key), blob(value), checksum(key, value)]);
      });
      this.connection.exec('COMMIT');
    } catch (error) {
      if (this.connection.inTransaction) this.connection.exec('ROLLBACK');
      throw error;
    }
  }

  deleteRange(range: EngineRange): void {
    this.removeRange.run([blob(range.from), blob(range.to)]);
  }

  /** A second connection in a read transaction. It begins with its first read, so that is made at once. */
  snapshot(): BlockingReader {
    const connection = new Database(this.file);
    connection.exec('BEGIN');
    connection.prepare('SELECT count(*) FROM (SELECT 1 FROM rows LIMIT 1)').get([]);
    return new SqliteReader(connection);
  }

  /**
   * With synchronous=NORMAL commits go to the journal unsynced. What a checkpoint has moved to the database is durable, so the journal is what
   * is left to sync. A checkpoint itself would not do: while a snapshot holds it back, it may sync nothing.
   */
  sync(): void {
    this.journal ??= openJournal(this.file);
    fdatasyncSync(this.journal);
  }

  override close(): void {
    super.close();
    if (this.journal !== undefined) closeSync(this.journal);
  }
}

/** SQLite holds no locks on this file that closing another descriptor of it would drop, and keeps it as long as a connection is open. */
function openJournal(file: string): number {
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory); // the file must be found after a power loss, too
  closeSync(directory);
  return openSync(`${file}-wal`, 'r');
}

/**
 * SQLite keeps no checksums: a damaged value would be served as it is, and a row whose key is damaged would be taken for missing. So every row
 * has one, which is looked at whenever the row is read, and all of them once at opening, when the library checks its pages, too.
 * uint32.
 */
function checksum(key: Uint8Array, value: Uint8Array): number {
  return (crc32(key) ^ crc32(value)) >>> 0;
}

/** Returns the value. Throws if the row is not as it was written. */
function checked(key: Uint8Array, value: Uint8Array, stored: number | null): Uint8Array {
  if (stored !== null && stored !== checksum(key, value)) {
    throw new Error(`the database is damaged: the checksum of row ${Buffer.from(key).toString('hex')} does not match`);
  }
  return value;
}

/** Reads the whole database. Throws if a page or a row is damaged. */
function verify(connection: Connection): void {
  const [found] = connection.prepare('PRAGMA quick_check(1)').all([]) as { quick_check: string }[];
  if (found?.quick_check !== 'ok') throw new Error(`the database is damaged: ${found?.quick_check}`);
  const rows = connection.prepare('SELECT k, v, c FROM rows').iterate([]) as Iterable<Row>;
  for (const { k, v, c } of rows) checked(bytesOf(k), bytesOf(v), c);
}

/** The key that comes next after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function blob(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function bytesOf(value: Blob): Uint8Array {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

serveEngine(async () => new SqliteEngine((workerData as SqliteEngineData).file));
