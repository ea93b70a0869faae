import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Directories of clusters that were closed, with nothing but logs in them; undefined: nobody looks at logs, so they go too. */
let closed: Set<string> | undefined;

/** From now on logs stay until {@link judged}. */
export function keepLogsUntilJudged(): void {
  closed ??= new Set();
}

/** What the nodes wrote goes, which may be much; their logs only if nobody will want them. */
export function removeAllButLogs(directory: string): void {
  if (closed === undefined) {
    rmSync(directory, { recursive: true, force: true });
    return;
  }
  closed.add(directory);
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.log')) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

/** The logs go unless something failed; then these are where to look. */
export function judged(failed: boolean): readonly string[] {
  const directories = [...(closed ?? [])];
  closed?.clear();
  if (failed) return directories;
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  return [];
}
