// npm run soak: the acceptance cases that npm test runs smaller than the contract names them, at full size.
import { parseArgs } from 'node:util';
import { ensureDependencies, nodeProblem } from './lib/prepare.mjs';
import { inRoot, nodeTool, run } from './lib/run.mjs';

const USAGE = `npm run soak [-- --silence-seconds 600 --memory-budgets 10]
  --silence-seconds N   how long a batch stream stays silent and must stay open (grpc:4; npm test: 5)
  --memory-budgets N    how many memory budgets of ephemeral values are written, while memory has to level off (operations:9; npm test: 3)`;

const FILES = ['e2e/src/acceptance/grpc.test.ts', 'e2e/src/acceptance/memory.test.ts'];

function fail(problem) {
  console.error(problem);
  process.exit(1);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        'silence-seconds': { type: 'string', default: '600' },
        'memory-budgets': { type: 'string', default: '10' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

const { help, 'silence-seconds': silence, 'memory-budgets': budgets } = options();
if (help) {
  console.log(USAGE);
  process.exit(0);
}
for (const number of [silence, budgets]) if (!(Number.isInteger(Number(number)) && Number(number) > 0)) fail(USAGE);

const missing = nodeProblem() ?? (await ensureDependencies());
if (missing) fail(missing);
const build = await run([process.execPath, inRoot('scripts/build.mjs')], { stream: true });
if (build.code !== 0) fail('the build failed');
const { code } = await run([...nodeTool('vitest', 'vitest.mjs'), 'run', '--project', 'e2e', ...FILES, '--maxWorkers=2'], {
  stream: true,
  env: { NODE_ENV: 'test', KAHUNA_SILENCE_SECONDS: silence, KAHUNA_MEMORY_BUDGETS: budgets },
});
process.exit(code);
