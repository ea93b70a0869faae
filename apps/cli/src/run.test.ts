import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Host } from './host.ts';
import { run } from './run.ts';
import { VERSION } from './version.ts';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything here is said before any server is asked. */
function cli(...argv: string[]): Promise<Ran> {
  return cliWith({}, ...argv);
}

async function cliWith(env: Host['env'], ...argv: string[]): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const sink = (write: (text: string) => void) => ({
    write: (text: string) => {
      write(text);
      return true;
    },
    once: () => undefined,
    off: () => undefined,
  });
  const host: Host = {
    env,
    stdin: new PassThrough().end(),
    stdout: sink(text => {
      stdout += text;
    }),
    stderr: sink(text => {
      stderr += text;
    }),
    terminal: undefined,
    outputIsTerminal: false,
    errorsAreTerminal: false,
    interrupted: new AbortController().signal,
    connect: () => Promise.reject(new Error('a server was asked')),
  };
  return { code: await run(argv, host), stdout, stderr };
}

const BACKUP_ID = '0190a1b2-0000-7000-8000-000000000001';

describe('usage errors (cli §2.2)', () => {
  const LEAVE =
    '--cluster-leave decommissions one specific node: name it with --node <endpoint> when the connection lists several endpoints.';
  test.each([
    ['cli:T43', ['--cluster-leave'], LEAVE],
    ['two endpoints', ['-c', 'http://a:1,http://b:1', '--cluster-leave'], LEAVE],
    [
      'cli:T45',
      ['--set-replication-factor', '3'],
      '--set-replication-factor needs the target data partition: add --partition <id>.',
    ],
    ['no key to cut at', ['--split-range', 't'], '--split-range needs the key to cut at: add --split-key <key>.'],
    ['cli:T47', ['--restore'], '--restore requires a backup ID (UUID). Example: --restore <leaf-backup-id>'],
    ['no UUID', ['--restore', 'x'], '--restore requires a backup ID (UUID). Example: --restore <leaf-backup-id>'],
    ['no directory', ['--restore', BACKUP_ID], '--restore requires --target-dir'],
    ['no parent', ['--backup-incremental'], '--backup-incremental and --backup-chain require a backup ID (UUID).'],
    ['no leaf', ['--backup-chain'], '--backup-incremental and --backup-chain require a backup ID (UUID).'],
    ['no value', ['--set', 'k'], '--set requires --value'],
    ['no lease', ['--lock', 'r'], '--lock requires --expires <milliseconds>'],
    ['a lease of nothing', ['--lock', 'r', '--expires', '0'], '--lock requires --expires <milliseconds>'],
    ['unlock without owner', ['--unlock', 'r'], '--unlock requires --owner'],
    ['extend without owner', ['--extend-lock', 'r', '--expires', '5'], '--extend-lock requires --owner'],
    ['no endpoint', ['-c', 'a:1', '--get', 'k'], "Invalid endpoint 'a:1': expected http:// or https:// URL"],
    ['a node that is none', ['--node', 'ftp://x', '--get', 'k'], "Invalid endpoint 'ftp://x': expected http:// or https:// URL"],
    ['cli:T50', ['--frobnicate'], "Option 'frobnicate' is unknown. Try --help."],
    ['a format of its own', ['--format', 'xml', '--get', 'k'], "Option 'format' takes console or json, not 'xml'."],
  ])('%s', async (_, argv, text) => {
    expect(await cli(...argv)).toEqual({ code: 1, stdout: '', stderr: `${text}\n` });
  });

  test('as JSON they are on stdout, and nothing else is', async () => {
    const { code, stdout, stderr } = await cli('--set', 'k', '--format', 'json');
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toBe('{"error":"UsageException","message":"--set requires --value"}\n');
  });

  test('JSON is answered also by a command line that cannot be read', async () => {
    const { stdout } = await cli('--frobnicate', '--format=json');
    expect(JSON.parse(stdout)).toEqual({ error: 'UsageException', message: "Option 'frobnicate' is unknown. Try --help." });
  });
});

test('the environment names the nodes where -c does not', async () => {
  const env = { KAHUNA_CONNECTION_SOURCE: 'nonsense' };
  expect((await cliWith(env, '--get', 'k')).stderr).toContain("Invalid endpoint 'nonsense'");
  expect((await cliWith(env, '-c', 'http://a:1', '--get', 'k')).stderr).toContain('a server was asked');
});

test('of several commands one runs, with a warning (cli §2)', async () => {
  const { stderr } = await cli('--get', 'a', '--set', 'b');
  expect(stderr).toBe('Warning: --get is ignored, one command runs at a time: --set.\n--set requires --value\n');
});

test('--version is that of the package', async () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(manifest.version).toBe(VERSION);
  expect(await cli('--version')).toEqual({ code: 0, stdout: `kahuna-cli ${VERSION}\n`, stderr: '' });
});

test('--help names the flags with their other spellings', async () => {
  const { code, stdout } = await cli('--help');
  expect(code).toBe(0);
  for (const flag of ['--set', '--get-by-bucket', '--scan-by-prefix', '--unlock-lock', '--completion', '-t, --default-timeout']) {
    expect(stdout).toContain(flag);
  }
});

describe('completion scripts', () => {
  test('bash reads its own and completes flags and their words', async () => {
    const { stdout } = await cli('--completion', 'bash');
    const complete = (words: readonly string[]): string =>
      execFileSync('bash', [
        '-c',
        `${stdout}\nCOMP_WORDS=(kahuna-cli ${words.join(' ')}); COMP_CWORD=${words.length}; _kahuna_cli; echo "\${COMPREPLY[@]}"`,
      ])
        .toString()
        .trim();
    expect(complete(['--get-by'])).toBe('--get-by-prefix --get-by-bucket');
    expect(complete(['--format', 'j'])).toBe('json');
    expect(complete(['--completion', "''"])).toBe('bash zsh fish');
    expect(complete(['--set', "''"])).toBe('');
  });

  test('zsh and fish get every flag with its help', async () => {
    for (const shell of ['zsh', 'fish']) {
      const { stdout } = await cli('--completion', shell);
      for (const flag of ['next-sequence', 'get-by-bucket', 'no-color']) expect(stdout).toContain(flag);
      // Quotes within help texts would end the words of the script.
      for (const line of stdout.split('\n').filter(text => /^(complete| {4}')/.test(text))) {
        expect(line.replace(/\\'|'\\''/g, '').split("'").length % 2).toBe(1);
      }
    }
  });
});
