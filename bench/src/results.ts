import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

const DIRECTORY = join(import.meta.dirname, '..', 'results');

/** Where and on what a measurement was made: a number without it says nothing. */
export function circumstances(): Record<string, string | number> {
  return {
    at: new Date().toISOString(),
    commit: git('rev-parse', '--short', 'HEAD'),
    changedFiles: git('status', '--porcelain').split('\n').filter(Boolean).length,
    command: process.argv.slice(2).join(' '),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: DIRECTORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

/** Writes a result beside the earlier ones and returns its path. */
export function saveResult(name: string, result: unknown): string {
  mkdirSync(DIRECTORY, { recursive: true });
  const path = join(DIRECTORY, `${name}.json`);
  writeFileSync(path, `${JSON.stringify({ circumstances: circumstances(), result }, undefined, 2)}\n`);
  return path;
}
