// npm run fix: repairs what a machine can repair: generated code, format, safe lint fixes.
import { inRoot, nodeTool, runSteps } from './lib/run.mjs';

const generated = await runSteps(
  [{ name: 'generate wire code', command: [process.execPath, inRoot('scripts/generate-wire.mjs')] }],
  1,
);
const formatted = await runSteps(
  [{ name: 'lint and format', command: [...nodeTool('@biomejs', 'biome', 'bin', 'biome'), 'check', '--write', '--colors=off'] }],
  1,
);
if (generated.failed.length + formatted.failed.length > 0) process.exitCode = 1;
