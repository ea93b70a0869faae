import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DirectoryLockedError, lockDirectory } from './directory-lock.ts';
import { syncDirectory } from './segment-files.ts';

export type EngineKind = 'rocksdb' | 'sqlite' | 'memory';
export type LogKind = 'file' | 'memory';

/** Of the identity file. */
export const DATA_FORMAT_VERSION = 1;

export interface DataDirectoryOptions {
  /** Directory of the state; ignored by the memory engine. */
  readonly statePath: string;
  /** Directory of the log; ignored by the memory log. May be the same. */
  readonly walPath: string;
  /** Name of the data set inside `statePath`. */
  readonly stateRevision: string;
  readonly walRevision: string;
  readonly engine: EngineKind;
  readonly log: LogKind;
  /** Size of the hash pool, kept from the first boot on. */
  readonly partitions: number;
  /** Given by the operator; 0: the one on disk, else `derivedNodeId`. */
  readonly nodeId: number;
  readonly derivedNodeId: number;
  /** Lower election timeout of this process: no promise about its votes is longer. Milliseconds. */
  readonly electionTimeoutMs: number;
}

/** An opened, locked data set. */
export interface DataDirectory {
  /** Where the engine keeps its files; undefined for the memory engine. */
  readonly stateDirectory: string | undefined;
  /** Where the log keeps its segments; undefined for the memory log. */
  readonly logDirectory: string | undefined;
  /** Random, positive, safe integer: names this data set. Another one on the same node is another member. */
  readonly storageId: number;
  readonly nodeId: number;
  /** Higher at every opening of the data set, durably before this is returned. */
  readonly boot: number;
  /** As of the first boot, whatever the options say now. */
  readonly partitions: number;
  /** The data set was created just now. */
  readonly created: boolean;
  /** For how long at most, from their end on, former processes may have promised their votes; 0 if there were none. Milliseconds. */
  readonly promisedMs: number;
  /** The former process kept its log in memory: what it promised there went with it. */
  readonly logWasVolatile: boolean;
  /** Gives the locks back. */
  close(): Promise<void>;
}

/** The data directory can't be used; the message says which and why, fit to be shown to the operator. */
export class DataDirectoryError extends Error {
  override name = 'DataDirectoryError';
}

interface StateIdentity {
  readonly format: number;
  readonly storageId: number;
  readonly nodeId: number;
  readonly boot: number;
  readonly partitions: number;
  readonly engine: EngineKind;
  readonly log: LogKind;
  /** Written before the first promise; missing in data sets of before it was kept. See `DataDirectory.promisedMs`. */
  readonly promisedMs?: number;
}

interface LogIdentity {
  readonly format: number;
  readonly storageId: number;
}

const STATE_IDENTITY = 'state-identity.json';
const LOG_IDENTITY = 'log-identity.json';

/**
 * Opens the data set of a node, or creates it: directories, locks, identity. State and log belong together by the storage id in both;
 * one without the other is refused, because a node that lost its log has lost votes and entries it promised to keep.
 *
 * The longest promise about votes is kept over restarts with a shorter election timeout, several of them in a row too: the identity has the
 * greatest timeout of all processes, until one that outlived the promises of the others is closed in good order.
 * Throws {@link DataDirectoryError}.
 */
export async function openDataDirectory(
  options: DataDirectoryOptions,
  monotonicMs: () => number = () => performance.now(),
): Promise<DataDirectory> {
  if (options.engine === 'memory') return memoryDirectory(options);
  const state = join(options.statePath, options.stateRevision);
  const wal = options.log === 'file' ? join(options.walPath, options.walRevision) : undefined;
  const unlocks: (() => Promise<void>)[] = [];
  const unlock = async (): Promise<void> => {
    for (const release of unlocks.splice(0)) await release();
  };
  try {
    unlocks.push(await enter('state', state));
    if (wal !== undefined && wal !== state) unlocks.push(await enter('log', wal));
    const found = await readIdentity<StateIdentity>(state, STATE_IDENTITY);
    const { electionTimeoutMs } = options;
    const promisedMs = found?.promisedMs ?? 0;
    const made = found === undefined ? await create(state, wal, options) : await reopen(state, wal, found, options);
    const identity = { ...made, promisedMs: Math.max(promisedMs, electionTimeoutMs) };
    await writeIdentity(state, STATE_IDENTITY, identity);
    const openedAt = monotonicMs();
    return {
      stateDirectory: join(state, 'state'),
      logDirectory: wal === undefined ? undefined : join(wal, 'log'),
      storageId: identity.storageId,
      nodeId: identity.nodeId,
      boot: identity.boot,
      partitions: identity.partitions,
      created: found === undefined,
      promisedMs,
      logWasVolatile: found?.log === 'memory',
      close: async () => {
        const outlived = promisedMs > electionTimeoutMs && monotonicMs() - openedAt > promisedMs;
        if (outlived) await writeIdentity(state, STATE_IDENTITY, { ...identity, promisedMs: electionTimeoutMs });
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Nothing on disk: a new data set at every start, which the time of its start sets apart from former ones of the node. */
function memoryDirectory({ nodeId, derivedNodeId, partitions }: DataDirectoryOptions): DataDirectory {
  return {
    stateDirectory: undefined,
    logDirectory: undefined,
    storageId: randomStorageId(),
    nodeId: nodeId || derivedNodeId,
    boot: Date.now(),
    partitions,
    created: true,
    promisedMs: 0,
    logWasVolatile: false,
    close: async () => undefined,
  };
}

async function enter(what: string, directory: string): Promise<() => Promise<void>> {
  try {
    await makeDirectory(directory);
    return await lockDirectory(directory);
  } catch (error) {
    if (error instanceof DirectoryLockedError)
      throw new DataDirectoryError(`${what} directory ${error.message}`, { cause: error });
    throw new DataDirectoryError(`${what} directory ${directory} is not writable: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * With the directories above it that are missing. Not by mkdir's own `recursive`, which tries for ever where a parent exists and says
 * that it does not, as /proc does.
 */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    if (code !== 'ENOENT' || (await isThere(dirname(directory)))) throw error;
    await makeDirectory(dirname(directory));
    await makeDirectory(directory);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false; // whatever is wrong with it shows when it is made
  }
}

async function create(state: string, wal: string | undefined, options: DataDirectoryOptions): Promise<StateIdentity> {
  const { engine, log, partitions } = options;
  if ((await entriesOf(join(state, 'state'))) > 0) {
    throw new DataDirectoryError(
      `state directory ${state} holds data but no ${STATE_IDENTITY}: it is damaged, or not a data directory`,
    );
  }
  const identity: StateIdentity = {
    format: DATA_FORMAT_VERSION,
    storageId: randomStorageId(),
    nodeId: options.nodeId || options.derivedNodeId,
    boot: 1,
    partitions,
    engine,
    log,
  };
  // The log's identity first: a state identity then always means that both were there.
  if (wal !== undefined) {
    await refuseForeignLog(state, wal);
    await writeIdentity(wal, LOG_IDENTITY, { format: DATA_FORMAT_VERSION, storageId: identity.storageId });
  }
  return identity;
}

async function reopen(
  state: string,
  wal: string | undefined,
  found: StateIdentity,
  options: DataDirectoryOptions,
): Promise<StateIdentity> {
  if (found.engine !== options.engine) {
    throw new DataDirectoryError(
      `state directory ${state} was made by engine ${found.engine}; it can't be opened with ${options.engine}`,
    );
  }
  if (options.nodeId !== 0 && options.nodeId !== found.nodeId) {
    throw new DataDirectoryError(`state directory ${state} belongs to node ${found.nodeId}, not to node ${options.nodeId}`);
  }
  if (wal === undefined) {
    if (found.log === 'file')
      throw new DataDirectoryError(`state directory ${state} belongs to a log on disk; it can't go on with one in memory`);
  } else if (found.log === 'file') {
    await checkLog(state, wal, found.storageId);
  } else {
    // From a log in memory to one on disk: nothing more can be lost by it.
    await refuseForeignLog(state, wal);
    await writeIdentity(wal, LOG_IDENTITY, { format: DATA_FORMAT_VERSION, storageId: found.storageId });
  }
  return { ...found, log: options.log, boot: found.boot + 1 };
}

async function refuseForeignLog(state: string, wal: string): Promise<void> {
  if ((await entriesOf(join(wal, 'log'))) > 0) {
    throw new DataDirectoryError(`log directory ${wal} holds a log that does not belong to state directory ${state}`);
  }
}

async function checkLog(state: string, wal: string, storageId: number): Promise<void> {
  const log = await readIdentity<LogIdentity>(wal, LOG_IDENTITY);
  if (log === undefined) throw new DataDirectoryError(`the log of state directory ${state} is not in ${wal}`);
  if (log.storageId !== storageId)
    throw new DataDirectoryError(`log directory ${wal} does not belong to state directory ${state}`);
}

async function readIdentity<T extends { readonly format: number }>(directory: string, name: string): Promise<T | undefined> {
  const path = join(directory, name);
  let identity: T;
  try {
    identity = JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DataDirectoryError(`${path} is damaged: ${(error as Error).message}`, { cause: error });
  }
  if (identity.format > DATA_FORMAT_VERSION) {
    throw new DataDirectoryError(
      `${path} has format ${identity.format}, written by a newer release; this one reads up to ${DATA_FORMAT_VERSION}`,
    );
  }
  return identity;
}

/** Replaces the file as a whole, durably. */
async function writeIdentity(directory: string, name: string, identity: StateIdentity | LogIdentity): Promise<void> {
  const path = join(directory, name);
  const file = await open(`${path}.tmp`, 'w');
  try {
    await file.writeFile(`${JSON.stringify(identity, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  await syncDirectory(directory);
}

async function entriesOf(directory: string): Promise<number> {
  try {
    return (await readdir(directory)).length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/** 52 random bits, not 0. */
function randomStorageId(): number {
  const bytes = randomBytes(8);
  return (bytes.readUInt32LE(0) & 0xf_ffff) * 0x1_0000_0000 + bytes.readUInt32LE(4) + 1;
}
