/** The interactive shell, and the same commands out of a pipe (spec cli §5). */
import { createInterface } from 'node:readline';
import type { Kahuna } from '@kahuna/client';
import { LineEditor } from '../editor/line-editor.ts';
import { failureLine, failureOf, isConnectionFailure, NeedsScript, UsageError } from '../failures.ts';
import type { Host } from '../host.ts';
import { Output } from '../output/output.ts';
import { VERSION } from '../version.ts';
import { complete } from './complete.ts';
import { highlight } from './highlight.ts';
import { History, historyPath } from './history.ts';
import { isUnfinished } from './lexer.ts';
import { runStatement } from './run-statement.ts';
import { SessionLocks } from './session-locks.ts';
import { findCommand, LOOP_COMMANDS, SHELL_COMMANDS, type ShellCommand, usageOf, WrongArguments } from './shell-commands.ts';
import { parseStatement } from './statement.ts';
import type { Terminal } from './terminal.ts';
import { COMMANDS, KEYWORDS, STATEMENT_WORDS } from './words.ts';

const PROMPTS = { first: 'kahuna-cli> ', next: '       ...> ' };
const CLEAR_SCREEN = '\x1b[H\x1b[2J\x1b[3J';
/** Locks that are let go at the end may take this long together. Milliseconds. */
const RELEASE_LIMIT_MS = 5000;

export interface ShellOptions {
  readonly host: Host;
  readonly output: Output;
  readonly connect: (signal: AbortSignal) => Promise<Kahuna>;
}

/** Resolves to whether every command out of a pipe succeeded; an interactive shell always ends well. */
export function runShellSession({ host, output, connect }: ShellOptions): Promise<boolean> {
  const { terminal } = host;
  if (terminal === undefined) return new Shell(output, connect).readPipe(host.stdin, host.interrupted);
  // What is wrong appears where it was typed, in order with the results.
  const { rendering } = output;
  const both = new Output(terminal.output, rendering, { sink: terminal.output, style: rendering.style, terminal: true });
  return new Shell(both, connect).interact(terminal, host);
}

class Shell {
  private readonly output: Output;
  private readonly connect: (signal: AbortSignal) => Promise<Kahuna>;
  private client: Promise<Kahuna> | undefined;
  private readonly locks = new SessionLocks();

  constructor(output: Output, connect: (signal: AbortSignal) => Promise<Kahuna>) {
    this.output = output;
    this.connect = connect;
  }

  async interact(terminal: Terminal, host: Host): Promise<boolean> {
    const { output } = this;
    await output.line(`Kahuna Shell ${VERSION}`);
    await output.line('');
    const history = new History(historyPath(host.env));
    if (history.wasInvalid) output.complaint('Found invalid history');
    const editor = new LineEditor(terminal, {
      prompts: PROMPTS,
      highlight: text => highlight(text, output.rendering.style),
      complete: (text, cursor) => complete(text, cursor, this.locks.resources()),
      isUnfinished: needsMore,
      history: () => history.entries(),
    });
    const stop = (): void => editor.inputEnded();
    host.interrupted.addEventListener('abort', stop);
    void this.warmUp(host.interrupted);
    try {
      await this.converse(editor, history);
    } finally {
      editor.close();
      host.interrupted.removeEventListener('abort', stop);
      await this.end();
      this.saveHistory(history);
    }
    return true;
  }

  private async converse(editor: LineEditor, history: History): Promise<void> {
    for (;;) {
      const read = await editor.read();
      if (read.kind === 'end') return;
      if (read.kind === 'interrupt') return this.output.line('Exiting...');
      const text = read.text.trim();
      if (text === '') continue;
      if (isExit(text)) {
        history.add(text, true);
        return;
      }
      if (text.toLowerCase() === 'clear') {
        await this.output.raw(CLEAR_SCREEN);
        history.add(text, true);
        continue;
      }
      const running = new AbortController();
      editor.onInterrupt = () => running.abort();
      history.add(text, await this.execute(text, running.signal));
      await this.output.line('');
    }
  }

  /** A line is a command; an open block or text goes on over lines. False if any command failed. */
  async readPipe(input: NodeJS.ReadableStream, interrupted: AbortSignal): Promise<boolean> {
    let ok = true;
    let text = '';
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    const stop = (): void => lines.close();
    interrupted.addEventListener('abort', stop);
    try {
      for await (const line of lines) {
        text = text === '' ? line : `${text}\n${line}`;
        if (needsMore(text)) continue;
        if (isExit(text.trim())) return ok;
        if (!(await this.executeLine(text, interrupted))) ok = false;
        text = '';
        if (interrupted.aborted) break;
      }
      if (!interrupted.aborted && !(await this.executeLine(text, interrupted))) ok = false;
    } finally {
      interrupted.removeEventListener('abort', stop);
      await this.end();
    }
    interrupted.throwIfAborted();
    return ok;
  }

  private async executeLine(text: string, signal: AbortSignal): Promise<boolean> {
    const trimmed = text.trim();
    return trimmed === '' || trimmed.toLowerCase() === 'clear' ? true : (await this.tryText(trimmed, signal)) === 'done';
  }

  /** Whether it is worth keeping in the history: commands are, statements only when they succeeded. */
  private async execute(text: string, signal: AbortSignal): Promise<boolean> {
    const outcome = await this.tryText(text, signal);
    return outcome === 'done' || SHELL_WORDS.has(firstWord(text));
  }

  /** Runs a text and reports what goes wrong: the shell goes on after every error. */
  private async tryText(text: string, signal: AbortSignal): Promise<'done' | 'failed'> {
    try {
      await this.runText(text, signal);
      return 'done';
    } catch (error) {
      this.report(error);
      return 'failed';
    }
  }

  private async runText(text: string, signal: AbortSignal): Promise<void> {
    if (/^help\b/i.test(text)) return this.help();
    const found = findCommand(text);
    if (found !== undefined) return this.runCommand(found.command, found.args, signal);
    return this.runStatementText(text, signal);
  }

  private async runCommand(command: ShellCommand, args: readonly string[], signal: AbortSignal): Promise<void> {
    const { output, locks } = this;
    try {
      if ('local' in command) {
        await command.local(args, { output, runText: script => this.runStatementText(script, signal) });
        return;
      }
      const execute = command.prepare(args);
      const client = await this.connected(signal);
      await execute({ client, signal, output, json: false, locks, input: noInput });
    } catch (error) {
      throw error instanceof WrongArguments ? new UsageError(usageOf(command)) : error;
    }
  }

  private async runStatementText(text: string, signal: AbortSignal): Promise<void> {
    const statement = parseStatement(text);
    if (statement === undefined) throw unknown(text);
    await runStatement(statement, await this.connected(signal), signal, this.output);
  }

  /** One client for the whole session, made when first needed; what failed is tried again by the next command. */
  private connected(signal: AbortSignal): Promise<Kahuna> {
    if (this.client === undefined) {
      const client = this.connect(signal);
      this.client = client;
      client.catch(() => {
        if (this.client === client) this.client = undefined;
      });
    }
    return this.client;
  }

  /** Connects while the first command is being typed. If nobody answers, the first command will say so. */
  private async warmUp(signal: AbortSignal): Promise<void> {
    try {
      await (await this.connected(signal)).cluster.membership({ signal });
    } catch {
      return;
    }
  }

  private async help(): Promise<void> {
    const rows = [...STATEMENT_HELP, ...SHELL_COMMANDS.flatMap(helpRow), ...LOOP_COMMANDS];
    const { style } = this.output.rendering;
    for (const [usage, about] of rows) {
      const line = usage.length <= HELP_COLUMN ? `${style.state(usage.padEnd(HELP_COLUMN))}  ${about}` : style.state(usage);
      await this.output.line(line);
      if (usage.length > HELP_COLUMN) await this.output.line(`${' '.repeat(HELP_COLUMN)}  ${about}`);
    }
  }

  private report(error: unknown): void {
    const failure = failureOf(error);
    // In the shell it goes without its type (spec cli §5.1).
    this.output.complaint(isConnectionFailure(failure) ? failure.message : failureLine(failure));
    if (failure.reason !== undefined) this.output.remark(failure.reason);
    if (failure.cure !== undefined) this.output.advice(failure.cure);
  }

  /** Lets the locks go and hangs up. */
  private async end(): Promise<void> {
    const { output } = this;
    const client = await this.client?.catch(() => undefined);
    if (client === undefined) return;
    const signal = AbortSignal.timeout(RELEASE_LIMIT_MS);
    await this.locks.releaseAll({ client, signal, output }, error => this.report(error));
    await client.close();
  }

  private saveHistory(history: History): void {
    try {
      history.save();
    } catch (error) {
      this.output.complaint(`The history could not be saved: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** The ephemeral forms share one row. */
function helpRow({ name, parameters, help }: ShellCommand): readonly (readonly [string, string])[] {
  if (help !== undefined) return [[`${name} ${parameters}`.trimEnd(), help]];
  return name === 'elock' ? [['elock, eunlock, …', 'the same, in memory only']] : [];
}

/** Where explanations begin in `help`: both fit into eighty columns. */
const HELP_COLUMN = 34;

const STATEMENT_HELP: readonly (readonly [string, string])[] = [
  ['set <key> <value> [conditions]', 'write a key; text stands in quotes'],
  ['    nx, xx', 'only if it is not there, only if it is'],
  ['    cmp <value>, cmprev <revision>', 'only if that is its value or revision'],
  ['    ex <ms>, norev', 'with a lifetime, without history'],
  ['get <key>', 'read a key'],
  ['get <key> at <revision>', 'read an earlier value'],
  ['get <key> as of <unix-ms>', 'read what was current at a time'],
  ['exists <key>', 'whether a key is there; at, as of likewise'],
  ['delete <key>', 'delete a key'],
  ['extend <key> <ms>', 'change when a key expires, 0 = never'],
  ['get by bucket <bucket>', 'all keys <bucket>/…, one level deep'],
  ['scan by prefix <prefix>', 'all keys that begin so'],
  ['eset, eget, eexists, edelete, …', 'the same, in memory only'],
];

const SHELL_WORDS: ReadonlySet<string> = new Set(COMMANDS);
const SCRIPT_WORDS: ReadonlySet<string> = new Set([...STATEMENT_WORDS, ...KEYWORDS]);

/** Commands of the shell are one line, whatever words stand in them; only an open quote goes on. */
function needsMore(text: string): boolean {
  return isUnfinished(text) && !SHELL_WORDS.has(firstWord(text));
}

function unknown(text: string): Error {
  const word = firstWord(text);
  return SCRIPT_WORDS.has(word) ? new NeedsScript() : new UsageError(`Unknown command '${word}'. help lists what there is.`);
}

function firstWord(text: string): string {
  return text.trim().split(/\s/, 1)[0]?.toLowerCase() ?? '';
}

function isExit(text: string): boolean {
  return /^(exit|quit)$/i.test(text);
}

function noInput(): Promise<never> {
  return Promise.reject(new UsageError('The shell reads the standard input itself.'));
}
