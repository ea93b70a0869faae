import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { History, historyPath } from './history.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kahuna-history-'));
  path = historyPath({ XDG_STATE_HOME: directory });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = (): unknown => JSON.parse(readFileSync(path, 'utf8'));
const enter = (history: History, ...texts: string[]) => {
  for (const text of texts) history.add(text, true);
};

test('it lies in the state directory, readable by its owner only', () => {
  const history = new History(path);
  enter(history, 'get a');
  history.save();
  expect(path).toBe(join(directory, 'kahuna', 'kahuna.history.json'));
  expect(file()).toEqual(['get a']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(historyPath({ XDG_STATE_HOME: 'relative' })).toContain('.local/state/kahuna');
});

test('a later shell goes on with it; equal neighbours count once', () => {
  const first = new History(path);
  enter(first, 'get a', 'get a', 'get b');
  first.save();
  const second = new History(path);
  enter(second, 'get b', 'get a');
  expect(second.entries()).toEqual(['get a', 'get b', 'get a']);
  second.save();
  expect(file()).toEqual(['get a', 'get b', 'get a']);
});

test('two shells at once lose nothing of each other', () => {
  const one = new History(path);
  const two = new History(path);
  enter(one, 'from one');
  enter(two, 'from two');
  one.save();
  two.save();
  expect(file()).toEqual(['from one', 'from two']);
});

test('what failed can be recalled and is not kept', () => {
  const history = new History(path);
  history.add('gett a', false);
  history.add('get a', true);
  expect(history.entries()).toEqual(['gett a', 'get a']);
  history.save();
  expect(file()).toEqual(['get a']);
});

test('it holds the newest thousand', () => {
  const history = new History(path);
  enter(history, ...Array.from({ length: 1200 }, (_, i) => `get k${i}`));
  history.save();
  const entries = file() as string[];
  expect(entries).toHaveLength(1000);
  expect(entries.at(-1)).toBe('get k1199');
});

test.each(['not json', '{"a":1}', '["a",1]'])('what cannot be used is kept as .bad: %s', text => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  const history = new History(path);
  expect(history.wasInvalid).toBe(true);
  expect(history.entries()).toEqual([]);
  expect(readFileSync(`${path}.bad`, 'utf8')).toBe(text);
  enter(history, 'get a');
  history.save();
  expect(file()).toEqual(['get a']);
});

test('the lock of a shell that died does not stop others', () => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.lock`, '');
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(`${path}.lock`, longAgo, longAgo);
  const history = new History(path);
  enter(history, 'get a');
  history.save();
  expect(file()).toEqual(['get a']);
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test('a history that can neither be read nor put aside costs the history, not the shell', () => {
  const obstacle = join(directory, 'no-directory');
  writeFileSync(obstacle, '');
  const history = new History(join(obstacle, 'kahuna.history.json'));
  expect(history.wasInvalid).toBe(true);
  enter(history, 'get a');
  expect(history.entries()).toEqual(['get a']);
  expect(() => history.save()).toThrow();
});
