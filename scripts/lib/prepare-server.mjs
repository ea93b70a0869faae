// Brings the server to where it can be run: Node.js new enough, dependencies, builds. Uses only what Node itself brings.
import { consoleIsFresh, serverIsFresh } from './freshness.mjs';
import { ensureDependencies } from './prepare.mjs';
import { inRoot, run } from './run.mjs';

const NEEDED = [20, 11];

/** Returns the problem as a text for the terminal, or undefined. */
export async function prepareServer() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
    return `Kahuna needs Node.js ${NEEDED.join('.')} or newer; this is ${process.versions.node}.`;
  }
  const missing = await ensureDependencies();
  if (missing !== undefined) return missing;
  const server = serverIsFresh();
  const pages = consoleIsFresh();
  if (server && pages) return undefined;
  const part = server ? ['--console'] : pages ? ['--server'] : [];
  console.log(`building ${server ? 'the console' : pages ? 'the server' : 'server and console'} …`);
  const { code, output } = await run([process.execPath, inRoot('scripts', 'build.mjs'), ...part]);
  if (code !== 0) return `the build failed:\n${output}`;
  console.log(output.trimEnd());
  return undefined;
}
