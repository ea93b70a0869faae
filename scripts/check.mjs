// npm run check: everything that can be said about the code without running it. Writes nothing.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { impurities, unfinished, unrunTests } from './lib/house-rules.mjs';
import { inRoot, nodeTool, runSteps } from './lib/run.mjs';

const tsc = project => [...nodeTool('typescript-native', 'bin', 'tsc'), '-p', project];
const rule = find => async () => {
  const found = find();
  return { ok: found.length === 0, output: found.join('\n') };
};

const steps = [
  {
    name: 'import directions',
    command: [
      ...nodeTool('dependency-cruiser', 'bin', 'dependency-cruise.mjs'),
      '--config',
      inRoot('.dependency-cruiser.mjs'),
      ...['libs', 'apps', 'e2e', 'bench'].map(room => inRoot(room)),
    ],
  },
  { name: 'dead code and dependencies', command: [...nodeTool('knip', 'bin', 'knip.js'), '--no-progress', '--no-config-hints'] },
  { name: 'types', command: tsc('tsconfig.json') },
  { name: 'types of the console', command: tsc('apps/console/tsconfig.json'), needs: 'apps/console/tsconfig.json' },
  {
    name: 'lint and format',
    command: [
      ...nodeTool('@biomejs', 'biome', 'bin', 'biome'),
      'ci',
      '--error-on-warnings',
      '--colors=off',
      '--max-diagnostics=60',
    ],
  },
  { name: 'generated code is up to date', command: [process.execPath, inRoot('scripts/generate-wire.mjs'), '--check'] },
  { name: 'pure rooms are pure', task: rule(impurities) },
  { name: 'no focused or skipped tests', task: rule(unrunTests) },
  { name: 'nothing unfinished', task: rule(unfinished) },
];

const started = Date.now();
const present = steps.filter(step => !step.needs || existsSync(inRoot(step.needs)));
const { passed, failed } = await runSteps(present, Math.max(2, availableParallelism()));
console.log(`check: ${passed} passed, ${failed.length} failed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
if (failed.length > 0) {
  console.log(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
