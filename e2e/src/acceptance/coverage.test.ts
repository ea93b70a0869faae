import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const REPOSITORY = join(import.meta.dirname, '..', '..', '..');

/** Cases of each page that are tests against server processes. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  // §20. Left out: what needs transactions (C1 to C6, B7) or a split (G10).
  keyvalues: without(
    lettered({ K: 15, R: 22, D: 14, H: 25, S: 14, B: 13, X: 14, G: 12, M: 12, C: 15 }),
    ...['B7', 'G10', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6'],
  ),
  locks: lettered({ I: 11, A: 14, E: 9, U: 8, G: 5, F: 16 }), // §12
  sequences: lettered({ C: 19, N: 15, I: 16, U: 17, R: 3, F: 11 }), // §13
  // §14. Left out: what needs transactions (12), and what is the encoding's alone.
  grpc: without(numbered(16), '1', '11', '12'),
  routing: ['1', '2'], // §9. Left out: ranges.
  // §19. Left out: members that join and leave (4 to 6), the balancer (7), backups (8), scripts (12).
  operations: ['1', '2', '3', '9', '10', '11', '13', '14'],
  // The page has worked examples instead of cases. Left out: scripts (§10), transactions (§11), dashboards (§18).
  rest: ['§6', '§7', '§8', '§9', '§12', '§13', '§14', '§15', '§16', '§17'],
};

/** What bytes say, without a server. */
const ENCODING_CASES = ['1', '11'];

function lettered(groups: Readonly<Record<string, number>>): string[] {
  return Object.entries(groups).flatMap(([letter, count]) => numbered(count).map(number => `${letter}${number}`));
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i + 1));
}

function without(cases: readonly string[], ...left: readonly string[]): string[] {
  expect(cases).toEqual(expect.arrayContaining([...left]));
  return cases.filter(id => !left.includes(id));
}

/** Cases cited in code below a folder; a comment is no test. */
function cited(...folder: readonly string[]): ReadonlySet<string> {
  const root = join(REPOSITORY, ...folder);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'));
  const code = files
    .flatMap(name => readFileSync(join(root, name), 'utf8').split('\n'))
    .filter(line => !/^\s*(?:\/\/|\/\*|\*)/.test(line))
    .join('\n');
  return new Set(code.match(/\b[a-z]+:(?:§[\d.]*\d|[A-Z]?\d+)\b/g));
}

function missing(page: string, cases: readonly string[], present: ReadonlySet<string>): string[] {
  return cases.map(id => `${page}:${id}`).filter(id => !present.has(id));
}

test.each(Object.entries(CASES))('every acceptance case of %s is a test against server processes', (page, cases) => {
  expect(missing(page, cases, cited('e2e', 'src'))).toEqual([]);
});

test('every acceptance case of the encoding is a test of it', () => {
  expect(missing('grpc', ENCODING_CASES, cited('libs', 'wire', 'src'))).toEqual([]);
});
