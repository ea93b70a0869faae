// npm run cluster [-- options for every node]: three nodes as three processes on this machine, data under .kahuna/cluster.
// Commands are typed while it runs: kill 2 · stop 2 · restart 2 · pause 2 · resume 2 · status · help · quit. Ctrl-C stops all.
// From another terminal: node scripts/cluster.mjs kill 2
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { prepareServer } from './lib/prepare-server.mjs';
import { inRoot } from './lib/run.mjs';

const DIRECTORY = inRoot('.kahuna', 'cluster');
const PIDS = `${DIRECTORY}/pids.json`;
const STOP_LIMIT_MS = 31_000;
const COMMANDS = ['kill', 'stop', 'restart', 'pause', 'resume'];

const nodes = [1, 2, 3].map(number => ({
  number,
  name: `node-${number}`,
  http: 8079 + 2 * number,
  grpc: 8080 + 2 * number,
  raft: 9080 + number,
  directory: `${DIRECTORY}/node-${number}`,
  child: undefined,
  paused: false,
  /** We asked for its end, so it is no news. */
  asked: false,
}));

function argumentsOf(node, extra) {
  return [
    ...['--raft-nodename', node.name, '--raft-nodeid', String(node.number)],
    ...['--raft-host', 'localhost', '--raft-port', String(node.raft), '--raft-grpc-scheme', 'http://'],
    ...['--http-ports', String(node.http), '--grpc-cleartext-ports', String(node.grpc)],
    ...['--advertised-client-endpoint', `http://localhost:${node.http}`],
    ...['--storage-path', `${node.directory}/data`, '--wal-path', `${node.directory}/wal`],
    ...['--initial-cluster', ...nodes.map(({ raft }) => `localhost:${raft}`)],
    ...extra,
  ];
}

// ---- the processes ---------------------------------------------------------------------------------------------------------

const running = node => node.child !== undefined && node.child.exitCode === null && node.child.signalCode === null;

function start(node, extra) {
  if (running(node)) return say(`${node.name} runs already`);
  mkdirSync(node.directory, { recursive: true });
  const log = createWriteStream(`${node.directory}/log.txt`, { flags: 'a' });
  // A group of its own: Ctrl-C in this terminal must reach us alone, so that the nodes stop in order.
  const child = spawn(process.execPath, [inRoot('dist', 'server', 'main.mjs'), ...argumentsOf(node, extra)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  Object.assign(node, { child, paused: false, asked: false });
  child.stdout.pipe(log, { end: false });
  let complaint = '';
  child.stderr.on('data', chunk => {
    log.write(chunk);
    complaint = (complaint + chunk).slice(-1000);
  });
  child.on('close', (code, signal) => {
    log.end();
    writePids();
    if (node.asked) return;
    const how = signal === null ? `exit code ${code}` : signal;
    say(`${node.name} ended (${how}). Its log: ${node.directory}/log.txt`);
    if (complaint !== '') say(complaint.trim());
    say(`start it again with: restart ${node.number}`);
  });
  writePids();
  return undefined;
}

function ended(node) {
  return new Promise(resolve => (running(node) ? node.child.once('close', resolve) : resolve()));
}

async function stop(node) {
  if (!running(node)) return;
  node.asked = true;
  node.child.kill('SIGCONT');
  node.child.kill('SIGTERM');
  const limit = setTimeout(() => node.child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended(node);
  clearTimeout(limit);
}

function writePids() {
  const pids = Object.fromEntries(nodes.filter(running).map(node => [node.number, node.child.pid]));
  writeFileSync(PIDS, JSON.stringify({ runner: process.pid, nodes: pids }));
}

// ---- what a person sees ----------------------------------------------------------------------------------------------------

let prompt;

function say(text) {
  if (prompt === undefined) {
    console.log(text);
    return;
  }
  // Over the line being typed, which then stands below.
  process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
  if (process.stdout.isTTY) prompt.prompt(true);
}

async function healthOf(node) {
  if (!running(node)) return 'down';
  if (node.paused) return 'paused';
  try {
    const answer = await fetch(`http://localhost:${node.http}/v1/cluster/health`, { signal: AbortSignal.timeout(1000) });
    return answer.status === 200 ? 'ready' : 'not ready';
  } catch {
    return 'starting';
  }
}

async function table() {
  const rows = [['node', 'pid', 'state', 'console', 'REST', 'gRPC', 'log']];
  for (const node of nodes) {
    rows.push([
      node.name,
      running(node) ? String(node.child.pid) : '-',
      await healthOf(node),
      `http://localhost:${node.http}/ui/`,
      `http://localhost:${node.http}`,
      `localhost:${node.grpc}`,
      `.kahuna/cluster/${node.name}/log.txt`,
    ]);
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)));
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const HELP = `kill N     end a node at once (kill -9)     pause N    stop it from running (SIGSTOP)
stop N     end it in order                  resume N   let it go on
restart N  start it (again)                 status     this table        quit   stop all`;

// ---- commands --------------------------------------------------------------------------------------------------------------

async function obey(line, extra) {
  const [command = '', argument = ''] = line.trim().split(/\s+/);
  if (command === '') return;
  if (command === 'status') return say(await table());
  if (command === 'help') return say(HELP);
  if (command === 'quit' || command === 'exit') return quit();
  const node = nodes.find(({ number, name }) => String(number) === argument || name === argument);
  if (!COMMANDS.includes(command) || node === undefined) return say(`unknown: ${line.trim()}\n${HELP}`);
  if (command === 'restart') {
    await stop(node);
    start(node, extra);
    return say(`${node.name} started, pid ${node.child.pid}`);
  }
  if (!running(node)) return say(`${node.name} is down; start it with: restart ${node.number}`);
  if (command === 'stop') {
    await stop(node);
    return say(`${node.name} stopped; start it again with: restart ${node.number}`);
  }
  if (command === 'kill') {
    node.child.kill('SIGKILL');
    await ended(node);
  }
  if (command === 'pause' || command === 'resume') {
    node.child.kill(command === 'pause' ? 'SIGSTOP' : 'SIGCONT');
    node.paused = command === 'pause';
    say(`${node.name} ${node.paused ? `paused; let it go on with: resume ${node.number}` : 'goes on'}`);
  }
  return undefined;
}

let quitting = false;

async function quit() {
  // The second time means it.
  if (quitting) for (const node of nodes.filter(running)) node.child.kill('SIGKILL');
  if (quitting) return;
  quitting = true;
  say('stopping all nodes …');
  await Promise.all(nodes.map(stop));
  rmSync(PIDS, { force: true });
  process.exit(0);
}

/** `node scripts/cluster.mjs kill 2` from another terminal: signals the node's process; restart goes through its runner. */
function remote([command, argument]) {
  const known = existsSync(PIDS) ? JSON.parse(readFileSync(PIDS, 'utf8')) : undefined;
  const pid = known?.nodes[String(argument).replace(/^node-/, '')];
  const signal = { kill: 'SIGKILL', stop: 'SIGTERM', pause: 'SIGSTOP', resume: 'SIGCONT' }[command];
  if (known === undefined) return fail('no cluster runs here; start it with: npm run cluster');
  if (signal === undefined) return fail(`type "${command} ${argument ?? ''}" where the cluster runs`);
  if (pid === undefined) return fail(`node ${argument} does not run`);
  process.kill(pid, signal);
  console.log(`${command}: node ${argument}, pid ${pid}`);
  return undefined;
}

/** Pids of nodes that an earlier run left behind. */
function leftBehind() {
  const { nodes: known = {} } = existsSync(PIDS) ? JSON.parse(readFileSync(PIDS, 'utf8')) : {};
  return Object.values(known).filter(pid => {
    try {
      return process.kill(pid, 0);
    } catch (error) {
      return error.code === 'EPERM';
    }
  });
}

function fail(text) {
  console.error(text);
  process.exitCode = 1;
}

async function runCluster(extra) {
  const problem = await prepareServer();
  if (problem !== undefined) return fail(problem);
  const left = leftBehind();
  if (left.length > 0) return fail(`a cluster runs already: stop it there, or end processes ${left.join(', ')}`);
  mkdirSync(DIRECTORY, { recursive: true });
  for (const node of nodes) start(node, extra);
  process.on('SIGINT', quit);
  process.on('SIGTERM', quit);
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline && nodes.some(running)) {
    const states = await Promise.all(nodes.map(healthOf));
    if (states.every(state => state === 'ready')) break;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  console.log(`\n${await table()}\n\n${HELP}\n`);
  prompt = createInterface({ input: process.stdin, output: process.stdout, prompt: 'cluster> ', terminal: process.stdin.isTTY });
  let earlier = Promise.resolve();
  prompt.on('line', line => {
    earlier = earlier.then(() => obey(line, extra)).then(() => (quitting || !process.stdin.isTTY ? undefined : prompt.prompt()));
  });
  prompt.on('SIGINT', quit);
  // Without a terminal the end of the input is no order to stop.
  if (process.stdin.isTTY) prompt.on('close', quit);
  if (process.stdin.isTTY) prompt.prompt();
  return undefined;
}

const USAGE = `npm run cluster [-- options for every node]   three nodes as three processes on this machine, data under .kahuna/cluster
What the options are: npm start -- --help. While it runs, commands are typed:
${HELP}
From another terminal: node scripts/cluster.mjs kill 2`;

const given = process.argv.slice(2);
if (given.includes('--help')) console.log(USAGE);
else if (given.length > 0 && !given[0].startsWith('-')) remote(given);
else await runCluster(given);
