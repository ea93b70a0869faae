// Rules of the house that no off-the-shelf linter knows. Each one returns the offences it found as `file:line: text`.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { inRoot, ROOT } from './run.mjs';

const SKIPPED_DIRECTORIES = new Set(['node_modules', 'dist', 'generated', '.git', 'results']);

/** Every file below `directory` whose name ends in one of `endings`; nothing if the directory does not exist. */
export function sourceFiles(directory, endings = ['.ts', '.tsx']) {
  const found = [];
  const walk = path => {
    for (const name of readdirSync(path)) {
      if (SKIPPED_DIRECTORIES.has(name)) continue;
      const child = join(path, name);
      if (statSync(child).isDirectory()) walk(child);
      else if (endings.some(ending => name.endsWith(ending))) found.push(child);
    }
  };
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) walk(directory);
  return found;
}

/** Source text with comments and string contents blanked, line structure kept: words in prose are no offence. */
export function withoutCommentsAndStrings(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, match =>
    match.replace(/[^\n]/g, ' '),
  );
}

function offences(files, pattern, complaint, prepare = withoutCommentsAndStrings) {
  const found = [];
  for (const file of files) {
    const lines = prepare(readFileSync(file, 'utf8')).split('\n');
    lines.forEach((line, index) => {
      const match = pattern.exec(line);
      if (match) found.push(`${relative(ROOT, file).split(sep).join('/')}:${index + 1}: ${match[0].trim()}: ${complaint}`);
    });
  }
  return found;
}

const PURE_ROOMS = ['base', 'raft', 'range-router', 'txn', 'partition'];
const isTest = file => /\.(test|bench)\.tsx?$/.test(file);

/** The pure rooms decide everything and must be replayable: time, chance, timers and the process come in through parameters. */
export function impurities() {
  const files = PURE_ROOMS.flatMap(room => sourceFiles(inRoot('libs', room, 'src'))).filter(file => !isTest(file));
  return [
    ...offences(
      files,
      /\b(Date\.now|new Date\b|performance\.now|Math\.random|crypto\.|setTimeout|setInterval|setImmediate|queueMicrotask|process\.)/,
      'a pure room takes time, chance and scheduling as parameters',
    ),
    ...offences(files, /\b(async|await)\b|new Promise\b|Promise\.(all|race|resolve)/, 'a pure room is synchronous'),
  ];
}

/** A focused, skipped or planned test makes the suite say less than it seems to say. */
export function unrunTests() {
  const rooms = ['libs', 'apps', 'e2e', 'bench', 'scripts'];
  const files = rooms.flatMap(room => sourceFiles(inRoot(room))).filter(file => isTest(file) || file.includes(`${sep}e2e${sep}`));
  return offences(
    files,
    /\b(it|test|describe|suite|simTest)\.(only|skip|todo|fails|skipIf|runIf)\b|\b(xit|xdescribe|fit|fdescribe)\(/,
    'tests are neither focused nor skipped',
  );
}

/** Escapes from the type system and marks of unfinished work. */
export function unfinished() {
  const rooms = ['libs', 'apps', 'e2e', 'bench', 'scripts'];
  const files = rooms
    .flatMap(room => sourceFiles(inRoot(room), ['.ts', '.tsx', '.mjs']))
    .filter(file => !file.endsWith('house-rules.mjs'));
  return offences(
    files,
    /@ts-(ignore|nocheck|expect-error)|\bTO(?:DO)\b|\bFIX(?:ME)\b|\bXX(?:X)\b/,
    'finish it or write an issue',
    text => text,
  );
}
