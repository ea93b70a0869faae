import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EmbeddedNode, startEmbeddedNode } from '@kahuna/server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { owned } from '../harness/processes.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

let node: EmbeddedNode;
beforeAll(async () => {
  node = await startEmbeddedNode();
});
afterAll(() => node.stop());

/** Runs an example as its reader would, and returns its lines. An example that does not end by itself fails by the test's limit. */
function run(example: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = owned(
      spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'examples', example)], {
        cwd: ROOT,
        env: { ...process.env, KAHUNA_URL: node.url },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    let out = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      complaint += text;
    });
    child.once('error', reject);
    child.once('close', code => {
      if (code === 0) resolve(out.trimEnd().split('\n'));
      else reject(new Error(`${example} ended with ${code}:\n${out}${complaint}`));
    });
  });
}

test.concurrent.each([
  [
    'lock-with-fencing.ts',
    ['Ada wrote: true', 'Grace wrote: true', 'tokens grow: true', 'late write accepted: false', 'stored: report by Grace'],
  ],
  [
    'sequence-with-idempotency-key.ts',
    ['a repetition gets the same number: true', 'another order gets a later one: true', 'reserved 500: true'],
  ],
  [
    'config-cache.ts',
    [
      'default limit: 100',
      'features kept: 10, revision moved by every one of them',
      'change of an outdated revision accepted: false',
    ],
  ],
  ['watch.ts', ['free and held in turn: true', 'began with what was there: true', 'a position to go on from: true']],
])('examples/%s runs and prints what it says', async (example, lines) => {
  expect(await run(example)).toEqual(lines);
});

test.concurrent('examples/leader-election.ts runs: both lead, one after the other', async () => {
  const lines = await run('leader-election.ts');
  expect(lines.slice(0, 2).sort()).toEqual([
    'east worked 3 rounds while the leader was east',
    'west worked 2 rounds while the leader was west',
  ]);
  expect(lines[2]).toBe('each led once, without the other in between: true');
});
