import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** How many cases each group of a page has (locks §12, sequences §13). */
const PAGES = {
  locks: { I: 11, A: 14, E: 9, U: 8, G: 5, F: 16 },
  sequences: { C: 19, N: 15, I: 16, U: 17, R: 3, F: 11 },
} as const;

const FOLDER = join(import.meta.dirname, '..');

/** Cases cited by tests that talk to server processes. */
function cited(): ReadonlySet<string> {
  const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'));
  const text = files.map(name => readFileSync(join(FOLDER, name), 'utf8')).join('\n');
  return new Set(text.match(/\b(?:locks|sequences):[A-Z]\d+\b/g));
}

test.each(Object.entries(PAGES))('every acceptance case of %s is a test against server processes', (page, groups) => {
  const present = cited();
  const cases = Object.entries(groups).flatMap(([group, count]) =>
    Array.from({ length: count }, (_, i) => `${page}:${group}${i + 1}`),
  );
  expect(cases.filter(id => !present.has(id))).toEqual([]);
});
