// Brings the server to where it can be run: Node.js new enough, dependencies, builds. Uses only what Node itself brings.
import { consoleIsFresh, serverIsFresh } from './freshness.mjs';
import { ensureDependencies, nodeProblem } from './prepare.mjs';
import { inRoot, run } from './run.mjs';

/** Returns the problem as a text for the terminal, or undefined. */
export async function prepareServer() {
  const tooOld = nodeProblem();
  if (tooOld !== undefined) return tooOld;
  const missing = await ensureDependencies();
  if (missing !== undefined) return missing;
  if (!serverIsFresh()) {
    const { code, output } = await built('server');
    if (code !== 0) return `the server could not be built:\n${output}`;
  }
  // A node without its pages is still a node: this is a warning, and the console's address says what to do.
  if (!consoleIsFresh()) {
    const { code, output } = await built('console');
    if (code !== 0) console.warn(`the node starts without its console:\n${output}`);
  }
  return undefined;
}

async function built(part) {
  console.log(`building the ${part} …`);
  return run([process.execPath, inRoot('scripts', 'build.mjs'), `--${part}`]);
}
