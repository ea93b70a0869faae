import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { closeEngine, key, keysOf, put, sync, write } from './engine-conformance.ts';
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
