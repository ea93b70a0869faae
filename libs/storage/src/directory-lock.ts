import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LOCK_NAME = 'LOCK';

/** Another living process holds the directory. */
export class DirectoryLockedError extends Error {
  override name = 'DirectoryLockedError';
  readonly holderPid: number;

  constructor(directory: string, holderPid: number) {
    super(`${directory} is in use by process ${holderPid}`);
    this.holderPid = holderPid;
  }
}

/** Who holds a lock. A process id alone is not enough: it is given again, in a container even always the same. */
interface Holder {
  readonly pid: number;
  /** When the process started, in the system's own terms; empty where that can't be told. */
  readonly started: string;
}

/** Locks of this process, which a look at the process list can't tell from those of a former one with its id. */
const heldHere = new Set<string>();

/**
 * Takes the lock of a directory, from a process that is gone if need be. Throws {@link DirectoryLockedError}. The returned function
 * gives it back.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_NAME);
  if (heldHere.has(path)) throw new DirectoryLockedError(directory, process.pid);
  heldHere.add(path);
  // Written apart and linked into place, so that a lock always has its whole content.
  const own = `${path}.${process.pid}`;
  try {
    const me: Holder = { pid: process.pid, started: startOf(process.pid) };
    await writeFile(own, JSON.stringify(me));
    while (!(await linked(own, path))) await removeStale(directory, path, `${own}.stale`);
  } catch (error) {
    heldHere.delete(path);
    throw error;
  } finally {
    await rm(own, { force: true });
  }
  return async () => {
    heldHere.delete(path);
    await rm(path, { force: true });
  };
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead process's lock out of the way. Whoever else does so at the same time may have a new lock there already: that is put back. */
async function removeStale(directory: string, path: string, aside: string): Promise<void> {
  const seen = await contentOf(path);
  if (seen === undefined) return;
  const holder = parseHolder(seen);
  if (holder !== undefined && isAlive(holder)) throw new DirectoryLockedError(directory, holder.pid);
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await contentOf(aside)) !== seen) await linked(aside, path);
  await unlink(aside);
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for content that no process of ours wrote. */
function parseHolder(content: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(content) as Partial<Holder>;
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  // This process holds it only if it took it, and then `heldHere` knows: the file is from a former life of the same id.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  return started === '' || started === startOf(pid);
}

/** Field 22 of /proc/<pid>/stat, counted behind the command, which may hold spaces (proc(5)). */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
