// npm run build: the server's bundle into dist/server, the command line's into dist/cli, the console's pages into apps/console/dist.
//   --server    only the server and the command line
//   --cli       only the command line
//   --console   only the console
import { cpSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, relative, sep } from 'node:path';
import { build } from 'esbuild';
import { CONSOLE_STAMP, SERVER_STAMP } from './lib/freshness.mjs';
import { sourceFiles } from './lib/house-rules.mjs';
import { inRoot, nodeTool, run } from './lib/run.mjs';

const only = ['server', 'cli', 'console'].find(part => process.argv.includes(`--${part}`));
const OUT = inRoot('dist', 'server');
const CLI_OUT = inRoot('dist', 'cli');

/** Have code for the processor in files of their own, which no bundle can hold. */
const NATIVE = ['@nxtedition/rocksdb', 'libsql'];

/** What all bundles share; they are made elsewhere and then moved to `directory`. */
function bundled(directory) {
  return {
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20.11',
    format: 'esm',
    // Most packages inside are CommonJS and ask for what Node brings with require.
    banner: {
      js: "import { createRequire as $createRequire } from 'node:module'; const $bundle = import.meta.url, require = $createRequire($bundle);",
    },
    external: NATIVE,
    plugins: [filesBesidePackages(directory)],
    legalComments: 'none',
    logLevel: 'warning',
  };
}

/** Installed packages that read files beside themselves find them from the bundle in `directory`. */
function filesBesidePackages(directory) {
  return {
    name: 'files-beside-packages',
    setup(setup) {
      setup.onLoad({ filter: /node_modules.*\.c?js$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        if (!/\b__(dirname|filename)\b/.test(text)) return undefined;
        const fromBundle = JSON.stringify(relative(directory, path).split(sep).join('/'));
        const place = `const __filename = require('node:url').fileURLToPath(new URL(${fromBundle}, $bundle));`;
        const directoryOfIt = "const __dirname = require('node:path').dirname(__filename);";
        return { contents: `${place} ${directoryOfIt} ${text}`, loader: 'js' };
      });
    },
  };
}

/**
 * One file for the process and one for each thread. What npm installed is inside, but for what has native code: finding a thousand
 * files below node_modules takes a quarter of the processor time of a start.
 */
async function buildServer() {
  const started = Date.now();
  const workers = sourceFiles(inRoot('libs', 'storage', 'src'), ['.worker.ts']);
  const fresh = `${OUT}.${process.pid}`;
  await build({
    ...bundled(OUT),
    entryPoints: [
      { in: inRoot('apps', 'server', 'src', 'main.ts'), out: 'main' },
      ...workers.map(file => ({ in: file, out: basename(file, '.worker.ts') })),
    ],
    outdir: fresh,
    sourcemap: 'linked',
  });
  cpSync(inRoot('proto'), `${fresh}/proto`, { recursive: true });
  replace(OUT, fresh);
  console.log(`server built in ${Date.now() - started} ms: dist/server/main.mjs`);
}

/** In chunks: the client library and gRPC are loaded when a command needs a server, so that the rest starts fast. */
async function buildCli() {
  const started = Date.now();
  const fresh = `${CLI_OUT}.${process.pid}`;
  await build({
    ...bundled(CLI_OUT),
    entryPoints: [{ in: inRoot('apps', 'cli', 'src', 'main.ts'), out: 'main' }],
    outdir: fresh,
    splitting: true,
  });
  replace(CLI_OUT, fresh);
  console.log(`command line built in ${Date.now() - started} ms: dist/cli/main.mjs`);
}

/** Made beside the old one and put in its place when it is whole: somebody may be starting a process from it. */
function replace(old, fresh) {
  rmSync(old, { recursive: true, force: true });
  renameSync(fresh, old);
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
