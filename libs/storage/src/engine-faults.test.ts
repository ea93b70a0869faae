import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, describe, expect, test } from 'vitest';
import { closeEngine, getMany, key, keysOf, put, sync, write } from './engine-conformance.ts';
import { engineFaults } from './engine-faults.ts';
import { openMemoryEngine } from './memory-engine.ts';
import { openRocksEngine } from './rocks-engine.ts';
import { openSqliteEngine } from './sqlite-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-engine-faults-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function newDirectory(): string {
  return mkdtempSync(join(root, 'state-'));
}

function largest(directory: string, extension: string): string {
  const files = readdirSync(directory).filter(name => name.endsWith(extension));
  const paths = files.map(name => join(directory, name));
  return paths.sort((a, b) => statSync(b).size - statSync(a).size)[0] as string;
}

describe('rocksdb engine', () => {
  engineFaults(
    {
      kind: 'rocksdb',
      open: directory => openRocksEngine({ directory, writeBufferBytes: 4 << 20 }),
      rowsFile: directory => largest(directory, '.sst'),
      journalFile: directory => largest(directory, '.log'),
    },
    newDirectory,
  );
});

describe('sqlite engine', () => {
  engineFaults(
    {
      kind: 'sqlite',
      open: directory => openSqliteEngine({ directory }),
      rowsFile: directory => join(directory, 'state.db'),
      journalFile: directory => join(directory, 'state.db-wal'),
    },
    newDirectory,
  );

  test('rows of before there were checksums are read as they are, and have one from their next write on', async () => {
    const directory = newDirectory();
    const file = join(directory, 'state.db');
    const former = new Database(file);
    former.exec('CREATE TABLE rows (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID');
    former.exec("INSERT INTO rows (k, v) VALUES (x'01', x'0b'), (x'02', x'16')");
    former.close();
    const engine = await openSqliteEngine({ directory });
    expect(await getMany(engine, [key(1), key(2)])).toEqual([[11], [22]]);
    await write(engine, [put(key(2), 23)]);
    await closeEngine(engine);
    const again = await openSqliteEngine({ directory });
    expect(await getMany(again, [key(1), key(2)])).toEqual([[11], [23]]);
    await closeEngine(again);
    const spoilt = new Database(file);
    spoilt.exec("UPDATE rows SET v = x'18'");
    spoilt.close();
    await expect(openSqliteEngine({ directory })).rejects.toThrow('the checksum of row 02 does not match');
  });
});

describe('memory engine', () => {
  test('promises nothing over a restart: another process begins with nothing, synced or not', async () => {
    const engine = openMemoryEngine();
    await write(engine, [put(key(1), 1)]);
    await sync(engine);
    await closeEngine(engine);
    expect(await keysOf(openMemoryEngine())).toEqual([]);
  });
});
