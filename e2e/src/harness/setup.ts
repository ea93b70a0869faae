import { afterAll, afterEach } from 'vitest';
import { judged, keepLogsUntilJudged } from './evidence.ts';

// Runs around every end-to-end test file: the logs of its servers are kept, and named, when something in it failed.

let ran = 0;
let failed = 0;

keepLogsUntilJudged();

afterEach(({ task }) => {
  ran += 1;
  if (task.result?.state === 'fail') failed += 1;
});

// Hooks run in the reverse order of their making: every cluster of the file is closed by now. Where no test ran, its preparation failed.
afterAll(() => {
  const directories = judged(failed > 0 || ran === 0);
  if (directories.length > 0) console.error(`logs of the servers: ${directories.join(' ')}`);
});
