/** What the shell does besides statements (spec cli §5), one entry each: for running, for `help` and for completion. */
import { readFile } from 'node:fs/promises';
import type { Durability } from '@kahuna/client';
import { showMembers } from '../commands/cluster.ts';
import type { Call, Run } from '../commands/command.ts';
import { creation, deletion, next, reserve, show } from '../commands/sequences.ts';
import { followBucket, followKey, followLock, followPrefix, followSequence } from '../commands/watch.ts';
import { NotInThisRelease, UsageError } from '../failures.ts';
import { INT32_MAX, parseInt32, parseInt64 } from '../options/numbers.ts';
import type { Output } from '../output/output.ts';
import type { SessionLocks } from './session-locks.ts';

/** What a command has at hand that asks a server. */
export interface ShellCall extends Call {
  readonly locks: SessionLocks;
}

/** What a command has at hand that asks no server, or not by itself. */
export interface LocalCall {
  readonly output: Output;
  /** Runs a text as if it had been entered. */
  readonly runText: (text: string) => Promise<void>;
}

interface Described {
  readonly name: string;
  /** Behind the name in `help` and in the usage line. */
  readonly parameters: string;
  /** undefined: `help` shows it with its persistent form. */
  readonly help: string | undefined;
}

/** Checks its arguments, throws {@link WrongArguments} where they are missing or no numbers, and says what is then to be done. */
interface ServerCommand extends Described {
  readonly prepare: (args: readonly string[]) => (call: ShellCall) => Promise<unknown>;
}

interface LocalCommand extends Described {
  readonly local: (args: readonly string[], call: LocalCall) => Promise<void>;
}

export type ShellCommand = ServerCommand | LocalCommand;

/** Answered with the usage line of the command. */
export class WrongArguments extends Error {
  override name = 'WrongArguments';
}

export const SHELL_COMMANDS: readonly ShellCommand[] = [
  ...lockCommands('', 'persistent'),
  ...lockCommands('e', 'ephemeral'),
  {
    name: 'create-sequence',
    parameters: '<name> [initial-value] [increment] [max-value]',
    help: 'create a sequence',
    prepare: ([name, initial = '0', increment = '1', max]) => {
      const wanted = { name: given(name), initialValue: int64(initial), increment: int64(increment) };
      return creation({ ...wanted, maxValue: max === undefined ? undefined : int64(max) });
    },
  },
  {
    name: 'get-sequence',
    parameters: '<name>',
    help: 'show a sequence',
    prepare: ([name]) => show(given(name)),
  },
  {
    name: 'next-sequence',
    parameters: '<name> [idempotency-key]',
    help: 'take the next value',
    prepare: ([name, key]) => next(given(name), key),
  },
  {
    name: 'reserve-sequence',
    parameters: '<name> <count> [idempotency-key]',
    help: 'take several values',
    prepare: ([name, count, key]) => reserve(given(name), positive(count), key),
  },
  {
    name: 'delete-sequence',
    parameters: '<name>',
    help: 'delete a sequence',
    prepare: ([name]) => deletion(given(name)),
  },
  {
    name: 'watch',
    parameters: '[bucket|prefix|lock|elock|sequence] <name>',
    help: 'show a key, or another thing, and what happens to it, until Ctrl+C',
    prepare: ([first, second]) => untilInterrupted(watched(given(first), second)),
  },
  { name: 'cluster members', parameters: '', help: 'show the members of the cluster', prepare: () => showMembers },
  {
    name: 'cluster leave',
    parameters: '<node-endpoint>',
    help: 'take a node out of the cluster (not in this release)',
    local: ([node]) => {
      given(node);
      return notYet('Changes of the membership');
    },
  },
  { name: 'backup full', parameters: '', help: 'back up one node (not in this release)', local: () => notYet('Backups') },
  { name: 'backup coordinated', parameters: '', help: 'back up all nodes (not in this release)', local: () => notYet('Backups') },
  { name: 'list backups', parameters: '', help: 'list the backups (not in this release)', local: () => notYet('Backups') },
  { name: 'run', parameters: '<file>', help: 'print a script file and run it', local: runFile },
];

/** Commands of the loop itself, for `help` and completion. */
export const LOOP_COMMANDS: readonly (readonly [string, string])[] = [
  ['clear', 'clear the screen'],
  ['help', 'this list'],
  ['exit, quit', 'release the locks taken here and leave'],
];

export function usageOf({ name, parameters }: ShellCommand): string {
  return `usage: ${name} ${parameters}`.trimEnd();
}

/** The command with which a line begins, and its arguments. Throws {@link UsageError} for half of a command of two words. */
export function findCommand(line: string): { readonly command: ShellCommand; readonly args: readonly string[] } | undefined {
  const words = splitWords(line);
  const first = words[0]?.toLowerCase();
  const both = `${first} ${words[1]?.toLowerCase()}`;
  for (const command of SHELL_COMMANDS) {
    if (command.name === first) return { command, args: words.slice(1) };
    if (command.name === both) return { command, args: words.slice(2) };
  }
  const halves = SHELL_COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (halves.length > 0) throw new UsageError(halves.map(usageOf).join('\n'));
  return undefined;
}

/** At blanks; quotes of three kinds group. */
function splitWords(line: string): readonly string[] {
  return Array.from(line.matchAll(/"([^"]*)"|'([^']*)'|`([^`]*)`|(\S+)/g), ([, double, single, backtick, bare]) =>
    String(double ?? single ?? backtick ?? bare),
  );
}

function lockCommands(prefix: string, durability: Durability): readonly ShellCommand[] {
  const help = (text: string): string | undefined => (durability === 'persistent' ? text : undefined);
  return [
    {
      name: `${prefix}lock`,
      parameters: '<resource> <milliseconds>',
      help: help('take a lock for so long'),
      prepare: ([resource, ms]) => {
        const [name, leaseMs] = [given(resource), positive(ms)];
        return call => call.locks.acquire(call, name, leaseMs, durability);
      },
    },
    {
      name: `${prefix}extend-lock`,
      parameters: '<resource> <milliseconds>',
      help: help('prolong a lock taken here'),
      prepare: ([resource, ms]) => {
        const [name, leaseMs] = [given(resource), positive(ms)];
        return call => call.locks.extend(call, name, leaseMs, durability);
      },
    },
    {
      name: `${prefix}unlock`,
      parameters: '<resource>',
      help: help('release a lock taken here'),
      prepare: ([resource]) => {
        const name = given(resource);
        return call => call.locks.release(call, name, durability);
      },
    },
    {
      name: `${prefix}get-lock`,
      parameters: '<resource>',
      help: help('show who holds a lock'),
      prepare: ([resource]) => {
        const name = given(resource);
        return call => call.locks.show(call, name, durability);
      },
    },
  ];
}

/** What a watch may name beside keys. */
export const WATCHED: ReadonlyMap<string, (name: string) => Run> = new Map([
  ['bucket', followBucket],
  ['prefix', followPrefix],
  ['lock', resource => followLock(resource, 'persistent')],
  ['elock', resource => followLock(resource, 'ephemeral')],
  ['sequence', followSequence],
]);

/** One word is a key, whatever it is. */
function watched(first: string, second: string | undefined): Run {
  if (second === undefined) return followKey(first);
  const kind = WATCHED.get(first.toLowerCase());
  if (kind === undefined) throw new WrongArguments();
  return kind(second);
}

/** What has no end of its own is no failure when the user ends it. */
function untilInterrupted(run: Run): (call: ShellCall) => Promise<void> {
  return async call => {
    try {
      await run(call);
    } catch (error) {
      if (!call.signal.aborted) throw error;
    }
  };
}

async function runFile(args: readonly string[], call: LocalCall): Promise<void> {
  let text: string;
  try {
    text = await readFile(given(args[0]), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UsageError('File does not exist');
    throw error;
  }
  if (text.trim() === '') return;
  await call.output.line(text.trimEnd());
  await call.runText(text);
}

function notYet(what: string): Promise<never> {
  return Promise.reject(new NotInThisRelease(what));
}

function given(word: string | undefined): string {
  if (word === undefined || word === '') throw new WrongArguments();
  return word;
}

function positive(word: string | undefined): number {
  const value = parseInt32(given(word));
  if (value === undefined || value <= 0 || value > INT32_MAX) throw new WrongArguments();
  return value;
}

function int64(word: string): bigint {
  const value = parseInt64(word);
  if (value === undefined) throw new WrongArguments();
  return value;
}
