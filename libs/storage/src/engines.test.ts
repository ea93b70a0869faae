import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { engineConformance } from './engine-conformance.ts';
import { emptyMemoryEngineState, openMemoryEngine } from './memory-engine.ts';
import { openRocksEngine } from './rocks-engine.ts';
import { openSqliteEngine } from './sqlite-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-engine-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('memory engine', () => {
  engineConformance(() => {
    const state = emptyMemoryEngineState();
    return { open: async () => openMemoryEngine(state) };
  });
});

describe('rocksdb engine', () => {
  engineConformance(() => {
    const directory = mkdtempSync(join(root, 'rocks-'));
    return { open: () => openRocksEngine({ directory }) };
  });
});

describe('sqlite engine', () => {
  engineConformance(() => {
    const directory = mkdtempSync(join(root, 'sqlite-'));
    return { open: () => openSqliteEngine({ directory }) };
  });
});
