import { describe, expect, test } from 'vitest';
import { keySpaceOf, pathToSubject, subjectToPath } from './subject.ts';

describe('console:§10 names in addresses', () => {
  test.each(['orders/2026/0007', 'config', 'services/auth:8080', 'Grüße/😀', 'a b/c'])('%s stays as it is', name => {
    expect(subjectToPath(name)).toBe(name);
  });

  test.each(['', '/boot', 'fleet/', 'fleet//x', '../etc', 'a/./b', '50%', 'a?b', 'a#b', 'tab\tkey', '\ud800', '~b64.AAAA'])(
    'what a browser would change goes around: %j',
    name => {
      expect(subjectToPath(name)).toMatch(/^~b64\.[\w-]*$/);
      expect(pathToSubject(subjectToPath(name))).toBe(name);
    },
  );

  test('a broken address names nothing', () => {
    expect(pathToSubject('~b64.*')).toBeUndefined();
    expect(pathToSubject('')).toBeUndefined();
  });

  test('key spaces are the text before the last slash', () => {
    expect(['fleet/eu/van-7', 'fleet/', '/boot', 'fleet'].map(keySpaceOf)).toEqual(['fleet/eu', 'fleet', '', 'fleet']);
  });
});
