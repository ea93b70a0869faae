import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { owned } from '../harness/processes.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** The program under test; KAHUNA_CLI_ENTRY names another build of it. */
const { KAHUNA_CLI_ENTRY } = process.env;
const ENTRY = KAHUNA_CLI_ENTRY ?? join(ROOT, 'apps', 'cli', 'bin', 'kahuna-cli.mjs');
const BUILT = KAHUNA_CLI_ENTRY ?? join(ROOT, 'dist', 'cli', 'main.mjs');

export interface Finished {
  readonly code: number | null;
  /** Results and complaints in the order in which they were written. */
  readonly output: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The built program that users run. */
export function commandLine(): string {
  if (!existsSync(BUILT)) throw new Error(`${BUILT} is missing: run \`npm run build\``);
  return ENTRY;
}

/** A line of a POSIX shell in which `kahuna-cli` is the program, connected to `endpoints` unless the line says otherwise. */
export function runShellLine(line: string, endpoints: string, options: RunOptions = {}): Promise<Finished> {
  const program = `kahuna-cli() { "${process.execPath}" "${commandLine()}" -c "$EP" "$@"; }`;
  return finished('bash', ['-c', `${program}; ${line}`], { ...options, env: { ...options.env, EP: endpoints } });
}

/** The program itself, with these arguments. */
export function runCli(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return finished(process.execPath, [commandLine(), ...args], options);
}

/** Of the caller, without what decides about colours. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const { NO_COLOR: _colour, FORCE_COLOR: _force, KAHUNA_FORCE_RICH: _rich, ...inherited } = process.env;
  return inherited;
}

function finished(command: string, args: readonly string[], { input = '', env = {}, cwd }: RunOptions): Promise<Finished> {
  // One pipe for both, by the shell: two pipes would lose the order.
  const child = owned(
    spawn('sh', ['-c', 'exec "$0" "$@" 2>&1', command, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...plainEnvironment(), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    }),
  );
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A program that ends without reading its input is none of our troubles.
  child.stdin.on('error', () => child.stdin.destroy());
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve({ code, output: Buffer.concat(chunks).toString() }));
  });
}
