import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Completion } from '../editor/line-editor.ts';
import { SHELL_COMMANDS, WATCHED } from './shell-commands.ts';
import { CONSTANTS, FUNCTIONS, KEYWORDS, LOCK_COMMANDS, STATEMENT_WORDS } from './words.ts';

const FIRST_WORDS = sorted([
  ...SHELL_COMMANDS.map(({ name }) => name.split(' ')[0] ?? name),
  'clear',
  'exit',
  'help',
  'quit',
  ...STATEMENT_WORDS,
]);
const LATER_WORDS = sorted([...KEYWORDS, ...FUNCTIONS, ...CONSTANTS]);

/** What the word before the cursor could become (spec cli §5.2). Looks at the disk for file names and asks no server. */
export function complete(text: string, cursor: number, lockedResources: readonly string[]): Completion {
  const line = text.slice(text.lastIndexOf('\n', cursor - 1) + 1, cursor);
  const [, before = '', word = ''] = /^(.*?)(\S*)$/s.exec(line) ?? [];
  const start = cursor - word.length;
  const words = before.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const [command] = words;
  if (command === undefined) return { start, candidates: beginning(word, FIRST_WORDS) };
  if (command === 'run') return { start, candidates: files(word) };
  if ((LOCK_COMMANDS as readonly string[]).includes(command)) {
    return { start, candidates: words.length === 1 ? beginning(word, sorted(lockedResources)) : [] };
  }
  if (command === 'watch') return { start, candidates: words.length === 1 ? beginning(word, sorted([...WATCHED.keys()])) : [] };
  const seconds = SHELL_COMMANDS.flatMap(({ name }) => (name.startsWith(`${command} `) ? [name.slice(command.length + 1)] : []));
  if (seconds.length > 0) return { start, candidates: words.length === 1 ? beginning(word, sorted(seconds)) : [] };
  if (SHELL_COMMANDS.some(({ name }) => name === command)) return { start, candidates: [] };
  return { start, candidates: word === '' ? [] : beginning(word, LATER_WORDS) };
}

function sorted(words: readonly string[]): readonly string[] {
  return [...new Set(words)].sort();
}

function beginning(word: string, candidates: readonly string[]): readonly string[] {
  const lower = word.toLowerCase();
  return candidates.filter(candidate => candidate.toLowerCase().startsWith(lower));
}

/** Directories end in a slash, so that completion goes on inside them. */
function files(word: string): readonly string[] {
  const slash = word.lastIndexOf('/');
  const folder = word.slice(0, slash + 1);
  const name = word.slice(slash + 1);
  try {
    return readdirSync(folder === '' ? '.' : dirname(`${folder}x`), { withFileTypes: true })
      .filter(entry => entry.name.startsWith(name) && (name !== '' || !entry.name.startsWith('.')))
      .map(entry => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .sort();
  } catch {
    // A folder that cannot be read offers nothing.
    return [];
  }
}
