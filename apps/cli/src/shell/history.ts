import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const MAX_ENTRIES = 1000;
/** A lock file older than this was left behind by a shell that died. Milliseconds. */
const STALE_LOCK_MS = 3000;

/** Where the history lies (spec cli §5.3). */
export function historyPath({ XDG_STATE_HOME = '' }: Readonly<Record<string, string | undefined>>): string {
  const state = XDG_STATE_HOME.startsWith('/') ? XDG_STATE_HOME : join(homedir(), '.local', 'state');
  return join(state, 'kahuna', 'kahuna.history.json');
}

/**
 * What was entered in this shell and in those before it. The file is a JSON array of strings, the newest last.
 *
 * Shells that run at the same time do not overwrite one another: each saves by adding what was entered in it to what the file holds
 * by then.
 */
export class History {
  private readonly path: string;
  private readonly loaded: readonly string[];
  private readonly entered: { readonly text: string; readonly kept: boolean }[] = [];
  /** The file was there and could not be used; it is kept as `.bad`, if it can be renamed. */
  readonly wasInvalid: boolean;

  constructor(path: string) {
    this.path = path;
    const found = readEntries(path);
    this.wasInvalid = found === 'invalid';
    this.loaded = found === 'invalid' ? [] : found;
    if (this.wasInvalid) this.putAsideOrLeave();
  }

  /** Whoever cannot keep a history can work all the same; `save` will say why there is none. */
  private putAsideOrLeave(): void {
    try {
      this.putAside();
    } catch {
      return;
    }
  }

  private putAside(): void {
    renameSync(this.path, `${this.path}.bad`);
  }

  /** All that can be recalled. */
  entries(): readonly string[] {
    return compact([...this.loaded, ...this.entered.map(({ text }) => text)]);
  }

  /** `kept`: it goes into the file. What failed can be recalled and corrected, but is not kept. */
  add(text: string, kept: boolean): void {
    this.entered.push({ text, kept });
  }

  /** Throws what the file system throws. */
  save(): void {
    const added = this.entered.filter(({ kept }) => kept).map(({ text }) => text);
    if (added.length === 0) return;
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    const unlock = lockFile(`${this.path}.lock`);
    try {
      const present = readEntries(this.path);
      if (present === 'invalid') this.putAside();
      const entries = compact([...(present === 'invalid' ? [] : present), ...added]);
      const draft = `${this.path}.${randomUUID()}`;
      writeFileSync(draft, JSON.stringify(entries), { mode: 0o600 });
      renameSync(draft, this.path);
    } finally {
      unlock();
    }
  }
}

function readEntries(path: string): readonly string[] | 'invalid' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : 'invalid';
  }
  try {
    const entries: unknown = JSON.parse(text);
    return Array.isArray(entries) && entries.every(entry => typeof entry === 'string') ? entries : 'invalid';
  } catch {
    return 'invalid';
  }
}

/** Equal neighbours once, and the newest of what is left. */
function compact(entries: readonly string[]): readonly string[] {
  return entries.filter((entry, at) => entry !== entries[at - 1]).slice(-MAX_ENTRIES);
}

/** Between reading and writing no other shell may write. Waits for it by looking again: a save takes a millisecond. */
function lockFile(path: string): () => void {
  for (;;) {
    try {
      writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > STALE_LOCK_MS) rmSync(path, { force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}
