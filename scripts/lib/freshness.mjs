// Is what was built still what the sources say?
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot } from './run.mjs';

/** Written last by a build; its time is the build's. */
export const SERVER_STAMP = inRoot('dist', 'server', '.built');
export const CONSOLE_STAMP = inRoot('apps', 'console', 'dist', '.built');

const SKIPPED = new Set(['node_modules', 'dist', '.git']);

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Latest change below a file or directory, 0 if it is not there. Directories count: a deleted file changes them. */
function newestChange(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  const inside = readdirSync(path).filter(name => !SKIPPED.has(name));
  return Math.max(stat.mtimeMs, ...inside.map(name => newestChange(join(path, name))));
}

const SERVER_SOURCES = [
  'apps/server/src',
  'apps/cli/src',
  'libs',
  'proto',
  'apps/console/src/protocol',
  'scripts/build.mjs',
  'package-lock.json',
];
const CONSOLE_SOURCES = ['apps/console', 'libs/client', 'package-lock.json'];

function isFresh(stamp, sources) {
  const built = modified(stamp);
  return built > 0 && sources.every(source => newestChange(inRoot(source)) <= built);
}

export function serverIsFresh() {
  return isFresh(SERVER_STAMP, SERVER_SOURCES);
}

export function consoleIsFresh() {
  // The directory's own time changes when its dist is made, so only what is inside counts.
  const inside = readdirSync(inRoot('apps', 'console')).filter(name => !SKIPPED.has(name));
  return isFresh(CONSOLE_STAMP, [...inside.map(name => `apps/console/${name}`), ...CONSOLE_SOURCES.slice(1)]);
}
