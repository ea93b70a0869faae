import type { LogStore, StateEngine } from '@kahuna/node';
import {
  type DataDirectory,
  DataDirectoryError,
  openDataDirectory,
  openFileLog,
  openMemoryEngine,
  openMemoryLog,
  openRocksEngine,
  openSqliteEngine,
} from '@kahuna/storage';
import type { ServerSettings } from '../config/settings.ts';
import type { ComponentLog } from './logger.ts';

/** The directories cannot be used; the message says which option, which directory and why. */
export class StorageError extends Error {
  override name = 'StorageError';
}

/** State engine, log and identity of the node, from its locked directories. */
export interface OpenedStorage {
  readonly log: LogStore;
  readonly engine: StateEngine;
  readonly directory: DataDirectory;
  /** For the start-up lines. */
  readonly places: { readonly storagePath: string; readonly walPath: string };
  /** Gives the directories back, after the node has closed log and engine. */
  release(): Promise<void>;
  /** The node never ran: closes log and engine, then as `release`. */
  abandon(): Promise<void>;
}

/** Throws {@link StorageError}; then nothing stays open. */
export async function openStorage(settings: ServerSettings, report: ComponentLog): Promise<OpenedStorage> {
  const { storage, wal, flags } = settings;
  const directory = await openDirectory(settings);
  if (directory.partitions !== flags['initial-cluster-partitions']) {
    report.warn(`--initial-cluster-partitions is ignored: this data set was founded with ${directory.partitions}`);
  }
  let engine: StateEngine;
  try {
    engine = await openEngine(settings, directory);
  } catch (error) {
    await directory.close();
    throw new StorageError(engineFailure(storage.engine, directory, error));
  }
  const log =
    directory.logDirectory === undefined
      ? openMemoryLog()
      : openFileLog({
          directory: directory.logDirectory,
          sync: wal.sync,
          onTornTail: place => report.warn('the log ended in a torn write, which was never acknowledged', { ...place }),
        });
  return {
    log,
    engine,
    directory,
    places: {
      storagePath: directory.stateDirectory ?? 'nowhere (memory)',
      walPath: directory.logDirectory ?? 'nowhere (memory)',
    },
    release: () => directory.close(),
    abandon: async () => {
      await new Promise<void>(resolve => log.close(() => engine.close(() => resolve())));
      await directory.close();
    },
  };
}

async function openDirectory({ storage, wal, flags, raftEndpoint }: ServerSettings): Promise<DataDirectory> {
  try {
    return await openDataDirectory({
      statePath: storage.path,
      walPath: wal.path,
      stateRevision: storage.revision,
      walRevision: wal.revision,
      engine: storage.engine,
      log: wal.engine,
      partitions: flags['initial-cluster-partitions'],
      nodeId: flags['raft-nodeid'],
      derivedNodeId: derivedNodeId(raftEndpoint),
      electionTimeoutMs: flags['raft-start-election-timeout'],
    });
  } catch (error) {
    if (!(error instanceof DataDirectoryError)) throw error;
    throw new StorageError(`${error.message} (--storage-path, --wal-path)`);
  }
}

async function openEngine({ storage }: ServerSettings, { stateDirectory }: DataDirectory): Promise<StateEngine> {
  if (storage.engine === 'memory' || stateDirectory === undefined) return openMemoryEngine();
  return storage.engine === 'rocksdb'
    ? openRocksEngine({ directory: stateDirectory })
    : openSqliteEngine({ directory: stateDirectory });
}

function engineFailure(engine: string, { stateDirectory }: DataDirectory, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  const cure = engine === 'rocksdb' ? '; where RocksDB has no build for this platform, use --storage sqlite' : '';
  return `--storage ${engine} cannot be opened at ${stateDirectory}: ${reason}${cure}`;
}

/** FNV-1a over the endpoint, in 1 … 2^31 − 1: the same on every start, and as good as unique in a cluster. */
export function derivedNodeId(endpoint: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(endpoint)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash & 0x7fffffff || 1;
}
