import type { ChildProcess } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { HANGS_MS, spawnOwned, until } from '../harness/processes.ts';
import { commandLine, plainEnvironment } from './command-line.ts';

export const KEY = {
  enter: '\r',
  up: '\x1b[A',
  tab: '\t',
  shiftEnter: '\x1b[13;2u',
  controlC: '\x03',
  controlD: '\x04',
} as const;

export function pasted(text: string): string {
  return `\x1b[200~${text}\x1b[201~`;
}

/**
 * The program with its line editor, between pipes instead of a terminal: pseudo-terminals are not available everywhere, and
 * `--force-rich` makes it paint and read keys all the same.
 */
export class InteractiveCli {
  private readonly child: ChildProcess;
  private written = '';
  private seen = 0;
  readonly exit: Promise<number | null>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.child = spawnOwned(process.execPath, [commandLine(), '--force-rich', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...plainEnvironment(), ...env },
    });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.written += chunk.toString();
    });
    this.exit = new Promise(resolve => {
      this.child.on('exit', resolve);
    });
  }

  type(keys: string): void {
    this.child.stdin?.write(keys);
  }

  /** Waits for a text behind what was waited for before, and returns everything from there to its end, without colours. */
  async sees(text: string | RegExp): Promise<string> {
    const found = await until(`the shell to print ${text}`, HANGS_MS, () => {
      const rest = this.text().slice(this.seen);
      const end = typeof text === 'string' ? endOfText(rest, text) : endOfMatch(rest, text);
      return end === undefined ? undefined : rest.slice(0, end);
    });
    this.seen += found.length;
    return found;
  }

  /** Everything so far, without colours and cursor movements. */
  text(): string {
    return stripVTControlCharacters(this.written).replaceAll('\r', '');
  }

  raw(): string {
    return this.written;
  }

  terminate(): void {
    this.child.kill('SIGTERM');
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }
}

function endOfText(text: string, wanted: string): number | undefined {
  const at = text.indexOf(wanted);
  return at === -1 ? undefined : at + wanted.length;
}

function endOfMatch(text: string, wanted: RegExp): number | undefined {
  const match = wanted.exec(text);
  return match === null ? undefined : match.index + match[0].length;
}
