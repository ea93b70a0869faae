import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LogStore, StateEngine } from '@kahuna/node';
import { openFileLog, openMemoryEngine, openMemoryLog, openRocksEngine, openSqliteEngine } from '@kahuna/storage';
import type { ServerSettings } from '../config/settings.ts';
import type { ComponentLog } from './logger.ts';

/** The directories cannot be used; the message says which and why. */
export class StorageError extends Error {
  override name = 'StorageError';
}

export interface OpenedStorage {
  readonly log: LogStore;
  readonly engine: StateEngine;
  readonly nodeId: number;
  readonly storageId: number;
  readonly boot: number;
  /** For the start-up lines. */
  readonly places: { readonly storagePath: string; readonly walPath: string };
  /** After the node has closed log and engine. */
  release(): Promise<void>;
  /** The node never started: closes log and engine too. */
  abandon(): Promise<void>;
}

interface Identity {
  readonly nodeId: number;
  readonly storageId: number;
  readonly boot: number;
}

export async function openStorage(settings: ServerSettings, log: ComponentLog): Promise<OpenedStorage> {
  const storagePath = join(settings.storage.path, settings.storage.revision);
  const walPath = join(settings.wal.path, settings.wal.revision);
  const identity = settings.storage.engine === 'memory' ? fresh(settings) : loadIdentity(storagePath, settings);
  const engine = await openEngine(settings, storagePath);
  const store =
    settings.wal.engine === 'memory'
      ? openMemoryLog()
      : openFileLog({
          directory: walPath,
          sync: settings.wal.sync,
          onTornTail: place => log.warn('the log ended in a torn write, which is left out', { ...place }),
        });
  return {
    log: store,
    engine,
    ...identity,
    places: {
      storagePath: settings.storage.engine === 'memory' ? 'memory' : storagePath,
      walPath: settings.wal.engine === 'memory' ? 'memory' : walPath,
    },
    release: async () => undefined,
    abandon: () => new Promise(resolve => store.close(() => engine.close(() => resolve()))),
  };
}

async function openEngine(settings: ServerSettings, directory: string): Promise<StateEngine> {
  switch (settings.storage.engine) {
    case 'memory':
      return openMemoryEngine();
    case 'rocksdb':
      return openRocksEngine({ directory: join(directory, 'state') });
    case 'sqlite':
      return openSqliteEngine({ directory: join(directory, 'state') });
  }
}

function fresh(settings: ServerSettings): Identity {
  const nodeId = settings.flags['raft-nodeid'];
  return {
    nodeId: nodeId === 0 ? derivedNodeId(settings.raftEndpoint) : nodeId,
    storageId: randomBytes(6).readUIntBE(0, 6),
    boot: 1,
  };
}

function loadIdentity(directory: string, settings: ServerSettings): Identity {
  const file = join(directory, 'node.json');
  let identity: Identity;
  try {
    mkdirSync(directory, { recursive: true });
    const known = JSON.parse(readFileSync(file, 'utf8')) as Identity;
    identity = { ...known, boot: known.boot + 1 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new StorageError(`--storage-path ${directory}: ${String(error)}`);
    identity = fresh(settings);
  }
  writeFileSync(`${file}.new`, JSON.stringify(identity), { flush: true });
  renameSync(`${file}.new`, file);
  return identity;
}

/** FNV-1a over the endpoint, in 1 … 2^31 − 1: the same on every start, and as good as unique. */
export function derivedNodeId(endpoint: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(endpoint)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash & 0x7fffffff || 1;
}
