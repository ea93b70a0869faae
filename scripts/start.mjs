// npm start [-- options]: one node in the foreground, on a fresh clone with nothing but Node.js. Brings the dependencies and builds
// where that is needed, and says so. Options are the server's: npm start -- --help
import { spawn } from 'node:child_process';
import { prepareServer } from './lib/prepare-server.mjs';
import { inRoot } from './lib/run.mjs';

const problem = await prepareServer();
if (problem !== undefined) {
  console.error(problem);
  process.exit(1);
}

const server = spawn(process.execPath, [inRoot('dist', 'server', 'main.mjs'), ...process.argv.slice(2)], { stdio: 'inherit' });
// A terminal sends Ctrl-C to the whole group, so the server has it already; others signal only us.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => server.kill('SIGTERM'));
// npm ends on a signal without passing it on: a server whose npm is gone has been told to stop.
const npm = process.ppid;
setInterval(() => process.ppid !== npm && server.kill('SIGTERM'), 500).unref();
server.on('error', error => {
  console.error(`the server cannot be started: ${error.message}`);
  process.exit(1);
});
server.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
