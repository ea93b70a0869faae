import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Finished, runCli, runShellLine } from './command-line.ts';

/**
 * A transcript as the command line's specification writes it: lines that begin with `$ ` or `~> ` are typed into a POSIX shell, lines
 * behind `kahuna-cli> ` (and `       ...> ` for the rest of a text) into the program's own; all others are what must come back.
 * `<ms>`, `<owner>`, `<n>` and the like stand for what differs each time; an owner is the same wherever it appears, `<owner-…>` is not.
 */
export interface Transcript {
  readonly id: string;
  readonly title: string;
  /** Names in it that get a prefix, so that it finds a store that knows nothing of them. */
  readonly names: readonly string[];
  /** Typed before, into the program's own shell, with whatever result. */
  readonly given?: string;
  /** Arguments of a single command that runs before, after `given`. */
  readonly givenOutside?: string;
  /** Files in the working directory. */
  readonly files?: Readonly<Record<string, string>>;
  /** About the command line itself: one node says as much as three. */
  readonly local?: true;
  readonly text: string;
}

interface Step {
  readonly kind: 'posix' | 'shell';
  /** What is typed: one line, or all lines of a session. */
  readonly typed: string;
  readonly expected: string[];
}

const PROMPT = 'kahuna-cli> ';
const CONTINUATION = '       ...> ';

function stepsOf(text: string): readonly Step[] {
  const steps: Step[] = [];
  for (const line of text.replace(/^\n/, '').replace(/\n$/, '').split('\n')) {
    const last = steps.at(-1);
    const posix = /^(?:\$|~>) (.*)$/s.exec(line)?.[1];
    if (posix !== undefined) steps.push({ kind: 'posix', typed: posix, expected: [] });
    else if (line.startsWith(PROMPT) || line.startsWith(CONTINUATION)) {
      const typed = line.slice(PROMPT.length);
      if (last?.kind === 'shell') steps[steps.length - 1] = { ...last, typed: `${last.typed}\n${typed}` };
      else steps.push({ kind: 'shell', typed, expected: [] });
    } else if (last !== undefined) last.expected.push(line);
  }
  return steps;
}

/** Plays a transcript and returns what came back and what should have, each as one text; equal texts have passed. */
export async function play(transcript: Transcript, endpoints: string, directory: string): Promise<Played> {
  const env = { XDG_STATE_HOME: directory };
  const cwd = mkdtempSync(join(directory, transcript.id));
  const own = (text: string): string =>
    transcript.names.reduce((renamed, name) => renamed.replaceAll(name, `${transcript.id.toLowerCase()}_${name}`), text);
  if (transcript.given !== undefined) await runCli(['-c', endpoints], { input: own(transcript.given), env });
  if (transcript.givenOutside !== undefined) await runShellLine(`kahuna-cli ${own(transcript.givenOutside)}`, endpoints, { env });
  for (const [name, text] of Object.entries(transcript.files ?? {})) writeFileSync(join(cwd, name), own(text));
  const bound = new Map<string, string>();
  const said: string[] = [];
  const wanted: string[] = [];
  let last: Finished = { code: 0, output: '' };
  for (const step of stepsOf(own(transcript.text))) {
    const typed = withBound(step.typed, bound);
    wanted.push(`> ${typed}`, ...step.expected);
    said.push(`> ${typed}`);
    if (step.kind === 'posix' && typed === 'echo $?') {
      said.push(String(last.code));
      continue;
    }
    last =
      step.kind === 'shell'
        ? await runCli(['-c', endpoints], { input: `${typed}\n`, env, cwd })
        : await runShellLine(typed, endpoints, { env, cwd });
    said.push(...linesOf(last.output).map((line, at) => asTemplate(line, step.expected[at], bound)));
  }
  return { said: said.join('\n'), wanted: wanted.join('\n') };
}

export interface Played {
  readonly said: string;
  readonly wanted: string;
}

function linesOf(output: string): readonly string[] {
  if (output === '') return [];
  return output.replace(/\n$/, '').split('\n');
}

const PATTERNS: Readonly<Record<string, string>> = { ms: '\\d+', n: '\\d+', l: '\\d+', c: '\\d+', uuid: '[0-9a-f-]{36}' };
const OWNER = '[0-9a-f]{32}';

/** The template itself where the line is one of those it stands for, else the line. Binds the owners that appear. */
function asTemplate(line: string, template: string | undefined, bound: Map<string, string>): string {
  if (template === undefined) return line;
  const names: string[] = [];
  const pattern = template
    .split(/(<[a-z-]+>)/)
    .map(part => {
      const name = /^<([a-z-]+)>$/.exec(part)?.[1];
      if (name === undefined) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
      if (PATTERNS[name] !== undefined) return PATTERNS[name];
      if (!name.startsWith('owner')) return part;
      if (bound.has(name)) return bound.get(name);
      names.push(name);
      return `(${OWNER})`;
    })
    .join('');
  const match = new RegExp(`^${pattern}$`, 's').exec(line);
  if (match === null) return line;
  for (const [at, name] of names.entries()) if (name === 'owner') bound.set(name, match[at + 1] as string);
  return template;
}

function withBound(text: string, bound: ReadonlyMap<string, string>): string {
  return text.replace(/<([a-z-]+)>/g, (whole, name: string) => bound.get(name) ?? whole);
}
