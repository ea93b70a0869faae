// What a fresh clone lacks, brought in before anything is built or run. Uses only what Node itself brings.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { inRoot, run } from './run.mjs';

const NEEDED = [20, 11];

/** Why the Node that runs us is too old, or undefined. */
export function nodeProblem() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined;
  return `Kahuna needs Node.js ${NEEDED.join('.')} or newer; this is ${process.versions.node}.`;
}

/**
 * True when node_modules holds what package-lock.json names. npm leaves a copy of the lock it installed from in
 * node_modules/.package-lock.json; a changed name or version means that the tree is another one.
 */
export function dependenciesInstalled() {
  const installedPath = inRoot('node_modules', '.package-lock.json');
  if (!existsSync(installedPath)) return false;
  const wanted = JSON.parse(readFileSync(inRoot('package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/')) return true;
    const present = installed[path];
    // Packages for another platform are in the lock and rightly not installed.
    if (!present) return entry.optional === true;
    return entry.link === true || present.version === entry.version;
  });
}

/** Installs the locked dependencies if they are missing or outdated. Returns the problem, or undefined. */
export async function ensureDependencies() {
  if (dependenciesInstalled()) return undefined;
  console.log('installing dependencies (npm ci) …');
  // Tools and native engines are needed whatever the caller's NODE_ENV and npm settings leave out.
  const whole = ['--include=dev', '--include=optional'];
  const { code, output } = await run(['npm', 'ci', ...whole, '--no-audit', '--no-fund', '--loglevel=error']);
  return code === 0 ? undefined : `npm ci failed:\n${output}`;
}

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function onPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map(directory => join(directory, name))
    .find(path => statSync(path, { throwIfNoEntry: false })?.isFile());
}

/** The browser that drives the console's tests: $KAHUNA_CHROMIUM, else the first one on PATH. */
export function findBrowser() {
  return process.env.KAHUNA_CHROMIUM || BROWSERS.map(onPath).find(path => path !== undefined);
}

/** Brings Debian's Chromium where none is found and we may install. Returns the problem, or undefined. */
export async function ensureBrowser() {
  if (findBrowser()) return undefined;
  const cure = 'install chromium (Debian: apt-get install chromium) or name a browser in KAHUNA_CHROMIUM';
  if (process.getuid?.() !== 0 || !onPath('apt-get')) return `no Chromium found: ${cure}`;
  console.log('installing chromium (apt-get) …');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  // Without a network this is to be said soon.
  const patience = ['-o', 'Acquire::http::Timeout=20', '-o', 'Acquire::Retries=1'];
  const install = ['apt-get', ...patience, 'install', '-y', '-qq', '--no-install-recommends', 'chromium'];
  let { code, output } = await run(install, { env });
  if (code !== 0) {
    // A new machine knows of no packages yet.
    await run(['apt-get', ...patience, 'update', '-qq'], { env });
    ({ code, output } = await run(install, { env }));
  }
  if (code !== 0) return `chromium could not be installed: ${cure}\n${output}`;
  return findBrowser() ? undefined : `chromium is installed and not on PATH: name it in KAHUNA_CHROMIUM`;
}
