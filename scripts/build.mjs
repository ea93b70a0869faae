// npm run build: the server's bundle into dist/server, the command line's into dist/cli, the console's pages into apps/console/dist.
//   --server    only the server and the command line
//   --cli       only the command line
//   --console   only the console
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { build } from 'esbuild';
import { CONSOLE_STAMP, SERVER_STAMP } from './lib/freshness.mjs';
import { sourceFiles } from './lib/house-rules.mjs';
import { inRoot, nodeTool, run } from './lib/run.mjs';

const only = ['server', 'cli', 'console'].find(part => process.argv.includes(`--${part}`));
const OUT = inRoot('dist', 'server');
const CLI_OUT = inRoot('dist', 'cli');

/**
 * One file for the process and one for each thread, with our own packages inside. What npm installs stays outside: native packages
 * cannot be bundled, and several of the others read files beside themselves.
 */
async function buildServer() {
  const started = Date.now();
  const workers = sourceFiles(inRoot('libs', 'storage', 'src'), ['.worker.ts']);
  const fresh = `${OUT}.${process.pid}`;
  await build({
    entryPoints: [
      { in: inRoot('apps', 'server', 'src', 'main.ts'), out: 'main' },
      ...workers.map(file => ({ in: file, out: basename(file, '.worker.ts') })),
    ],
    outdir: fresh,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20.11',
    format: 'esm',
    sourcemap: 'linked',
    legalComments: 'none',
    external: installedPackages(),
    logLevel: 'warning',
  });
  cpSync(inRoot('proto'), `${fresh}/proto`, { recursive: true });
  replace(OUT, fresh);
  console.log(`server built in ${Date.now() - started} ms: dist/server/main.mjs`);
}

/**
 * In chunks: the client library and gRPC are loaded when a command needs a server, so that the rest starts fast. All of it is
 * inside: finding a hundred files below node_modules takes longer than reading one.
 */
async function buildCli() {
  const started = Date.now();
  const fresh = `${CLI_OUT}.${process.pid}`;
  await build({
    entryPoints: [{ in: inRoot('apps', 'cli', 'src', 'main.ts'), out: 'main' }],
    outdir: fresh,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20.11',
    format: 'esm',
    // The packages inside are CommonJS and ask for what Node brings with require.
    banner: {
      js: "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);",
    },
    legalComments: 'none',
    logLevel: 'warning',
  });
  replace(CLI_OUT, fresh);
  console.log(`command line built in ${Date.now() - started} ms: dist/cli/main.mjs`);
}

/** Made beside the old one and put in its place when it is whole: somebody may be starting a process from it. */
function replace(old, fresh) {
  rmSync(old, { recursive: true, force: true });
  renameSync(fresh, old);
}

/** Every dependency of the server that is not one of our packages, with the paths inside it. */
function installedPackages() {
  const manifests = [
    inRoot('apps', 'server', 'package.json'),
    inRoot('libs', 'storage', 'package.json'),
    inRoot('libs', 'wire', 'package.json'),
  ];
  const names = manifests.flatMap(file => Object.keys(JSON.parse(readFileSync(file, 'utf8')).dependencies ?? {}));
  return [...new Set(names)].filter(name => !name.startsWith('@kahuna/')).flatMap(name => [name, `${name}/*`]);
}

async function buildConsole() {
  const started = Date.now();
  const vite = nodeTool('vite', 'bin', 'vite.js');
  const { code, output } = await run([...vite, 'build', '--logLevel', 'warn'], { cwd: inRoot('apps', 'console') });
  if (code !== 0 || !existsSync(inRoot('apps', 'console', 'dist', 'index.html'))) {
    throw new Error(`the console could not be built:\n${output}`);
  }
  writeFileSync(CONSOLE_STAMP, '');
  console.log(`console built in ${Date.now() - started} ms: apps/console/dist`);
}

try {
  if (only === 'cli') await buildCli();
  if (only === 'server' || only === undefined) {
    await Promise.all([buildServer(), buildCli()]);
    writeFileSync(SERVER_STAMP, '');
  }
  if (only === 'console' || only === undefined) await buildConsole();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
