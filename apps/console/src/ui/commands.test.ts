import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { quoted } from './commands.tsx';

test.each(['plain', "it's", '$HOME `id` "x" \\ !', 'two\nlines', ''])('console:C10 a shell takes %j as it is', text => {
  expect(execFileSync('sh', ['-c', `printf %s ${quoted(text)}`]).toString()).toBe(text);
});
