// npm test: brings what is missing, builds, runs every test, and closes with the line `N passed, N failed`.
// CI runs it with --with-check.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endOrphans, RUN_MARK } from './lib/orphans.mjs';
import { ensureBrowser, ensureDependencies, nodeProblem } from './lib/prepare.mjs';
import { inRoot, nodeTool, run } from './lib/run.mjs';

const USAGE = `npm test [-- --only a,b] [--with-check]
  --only a,b      only these parts: unit, console, sim, e2e
  --with-check    npm run check too, and counts its steps
One file: npx vitest run --project unit libs/raft/src/election.test.ts`;
if (process.argv.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}

const argument = name => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const withCheck = process.argv.includes('--with-check');
const only = argument('--only')?.split(',');

const PARTS = ['unit', 'console', 'sim', 'e2e'];
if (only?.some(name => !PARTS.includes(name))) {
  console.error(`--only takes some of ${PARTS.join(',')}`);
  process.exit(1);
}

/**
 * Two files at a time where they compute. The end-to-end tests wait as much as they compute (for elections, leases, restarts), so
 * four; and the acceptance cases of one file nearly only wait, so many of those run at once. What they leave of the processors is
 * enough for the simulation, which knows no real time and so does not mind to stand back.
 */
const UNIT = { projects: ['unit', 'console'], options: ['--maxWorkers=2'] };
const END_TO_END = { projects: ['e2e'], options: ['--maxWorkers=4', '--maxConcurrency=15'] };
// Without vitest's memory of durations: two processes would write one file.
const SIMULATION = { projects: ['sim'], options: ['--maxWorkers=2', '--cache=false'], standsBack: true };

const runId = `${process.pid}-${Date.now()}`;

let passed = 0;
let failed = 0;
const problems = [];

function problem(text) {
  failed += 1;
  problems.push(text);
  console.error(text);
}

function finish() {
  for (const text of problems) console.log(`problem: ${text.split('\n')[0]}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

/** Adds what a script printed as its own closing count. */
function addCounts(output, pattern) {
  const match = [...output.matchAll(pattern)].at(-1);
  if (!match) return false;
  passed += Number(match[1]);
  failed += Number(match[2]);
  return true;
}

async function runCheck() {
  const { code, output } = await run([process.execPath, inRoot('scripts/check.mjs')], { stream: true });
  if (!addCounts(output, /check: (\d+) passed, (\d+) failed/g) && code !== 0) problem('npm run check did not finish');
}

async function runTests(group, reportDirectory) {
  const projects = group.projects.filter(name => !only || only.includes(name));
  if (projects.length === 0) return;
  const isBehind = group.standsBack === true && only?.length !== 1;
  const report = join(reportDirectory, `${projects.join('-')}.json`);
  const { code, output } = await run(
    [
      ...nodeTool('vitest', 'vitest.mjs'),
      'run',
      ...projects.flatMap(name => ['--project', name]),
      ...group.options,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    {
      // Two at once do not talk over one another: who stands back is printed when it has ended.
      stream: !isBehind,
      standsBack: isBehind,
      env: { NODE_ENV: 'test', FORCE_COLOR: '0', NO_COLOR: '1', [RUN_MARK]: runId },
    },
  );
  if (isBehind) console.log(output);
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    passed += result.numPassedTests;
    // A file that does not even load has failed without having a failed test.
    const brokenFiles = result.testResults.filter(
      file => file.status === 'failed' && file.assertionResults.every(t => t.status !== 'failed'),
    );
    const failures = result.numFailedTests + brokenFiles.length;
    failed += failures;
    if (code !== 0 && failures === 0) problem(`vitest (${projects.join(', ')}) failed outside of a test`);
  } catch (error) {
    problem(`vitest (${projects.join(', ')}) left no report: ${error.message}`);
  }
}

const missing = nodeProblem() ?? (await ensureDependencies());
if (missing) {
  problem(missing);
  finish();
}
if (withCheck) await runCheck();

const needsServer = !only || only.includes('e2e') || only.includes('unit');
if (needsServer) {
  const build = await run([process.execPath, inRoot('scripts/build.mjs')], { stream: true });
  if (build.code !== 0) {
    problem('the build failed');
    finish();
  }
}
if (!only || only.includes('e2e')) {
  const noBrowser = await ensureBrowser();
  if (noBrowser) console.error(`${noBrowser}\nthe tests of the console in a browser will fail`);
}

// Ctrl-C reaches everything that a terminal shows; whoever signals only us means all of it too.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.once(signal, () => void endOrphans(runId, 2000).then(() => process.exit(code)));
}

const reportDirectory = mkdtempSync(join(tmpdir(), 'kahuna-test-'));
await runTests(UNIT, reportDirectory);
await Promise.all([runTests(END_TO_END, reportDirectory), runTests(SIMULATION, reportDirectory)]);
for (const { pid, command } of await endOrphans(runId, 5000)) problem(`a test left process ${pid} behind: ${command}`);
rmSync(reportDirectory, { recursive: true, force: true });
finish();
