import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StateEngine } from '@kahuna/node';
import { afterAll, describe, expect, test } from 'vitest';
import { closeEngine, getMany, key, scan } from './engine-conformance.ts';
import { recoverFiles } from './log-recovery.ts';
import { openRocksEngine } from './rocks-engine.ts';
import { openSqliteEngine } from './sqlite-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-crash-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs the writing child on a directory, kills it with SIGKILL once it has acknowledged so much, and returns the last number it acknowledged. */
async function writeUntilKilled(
  kind: 'log' | 'rocksdb' | 'sqlite',
  directory: string,
  acknowledgements: number,
): Promise<number> {
  const script = fileURLToPath(new URL('../test/crash-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, kind, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  let killed = false;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (killed || (output.match(/\n/g)?.length ?? 0) < acknowledgements) return;
    killed = true;
    child.kill('SIGKILL');
  });
  await once(child, 'close');
  expect(killed).toBe(true);
  return Math.max(...output.split('\n').slice(0, -1).map(Number));
}

describe('killed in the middle of writing', () => {
  test('the log has every acknowledged entry, and a prefix of what was appended', async () => {
    for (const acknowledgements of [50, 900]) {
      const directory = mkdtempSync(join(root, 'log-'));
      const acknowledged = await writeUntilKilled('log', directory, acknowledgements);
      const { log } = await recoverFiles(directory);
      const { entries, start } = log.groups[0] as (typeof log.groups)[number];
      const last = start.index + entries.length;
      expect(last).toBeGreaterThanOrEqual(acknowledged);
      // Appended behind the entry of that index: mostly in the same write, at a segment's end in the next one.
      expect([last - 1, last]).toContain(log.clockBoundMs);
      if (acknowledgements === 900) expect(start.index).toBeGreaterThan(0);
      entries.forEach(({ index, data }, i) => {
        expect(index).toBe(start.index + 1 + i);
        expect(data.every(byte => byte === index % 251) && data.length === (index * 37) % 6000).toBe(true);
      });
    }
  });

  test.each([
    ['rocksdb', openRocksEngine],
    ['sqlite', openSqliteEngine],
  ] as const)('%s has every acknowledged batch, whole, and a prefix of the batches', async (kind, open) => {
    const directory = mkdtempSync(join(root, `${kind}-`));
    const acknowledged = await writeUntilKilled(kind, directory, 700);
    const engine: StateEngine = await open({ directory });
    const [counter] = await getMany(engine, [key(0)]);
    const last = Buffer.from(counter as number[]).readUInt32BE();
    const rows = await scan(engine, { from: key(1), to: key(2), maxRows: 1e6, maxBytes: 1e9 });
    expect(last).toBeGreaterThanOrEqual(acknowledged);
    expect(rows.rows.map(row => Buffer.from(row.key).readUInt32BE(1))).toEqual(Array.from({ length: last }, (_, i) => i + 1));
    await closeEngine(engine);
  });
});

describe('a process that does nothing but close its storage', () => {
  test.each(['openRocksEngine', 'openSqliteEngine', 'openFileLog'])(
    'lives until it is told that it is closed (%s)',
    async name => {
      const directory = mkdtempSync(join(root, 'closing-'));
      const source = `
      const { RowBatch } = await import('@kahuna/base');
      const storage = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
      const opened = await storage.${name}({ directory: ${JSON.stringify(directory)}, segmentBytes: 65536 });
      const close = () => opened.close(() => console.log('closed'));
      if (opened.recover) opened.recover(close); else opened.write(RowBatch.of([]), close);`;
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
        stdio: ['ignore', 'pipe', 'inherit'],
        cwd: new URL('..', import.meta.url),
      });
      let output = '';
      child.stdout.on('data', chunk => {
        output += chunk;
      });
      await once(child, 'close');
      expect(output).toBe('closed\n');
    },
  );
});

describe('an engine that can not be opened', () => {
  test('fails with the reason', async () => {
    const directory = mkdtempSync(join(root, 'blocked-'));
    mkdirSync(join(directory, 'state.db')); // a directory where SQLite wants its file: its thread fails
    await expect(openSqliteEngine({ directory })).rejects.toThrow(/open/);
    writeFileSync(join(directory, 'file'), '');
    await expect(openRocksEngine({ directory: join(directory, 'file') })).rejects.toThrow();
  });
});
