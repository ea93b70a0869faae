// Shared by the scripts: child processes with a time and a verdict, and a bound on how many run at once.
import { spawn } from 'node:child_process';
import { constants, getPriority, setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const BELOW_NORMAL = constants.priority.PRIORITY_BELOW_NORMAL;

/** Path of a file inside the repository. */
export const inRoot = (...parts) => join(ROOT, ...parts);

/** A tool's entry file, run with the Node that runs us: no dependence on PATH or on the shell wrappers of npm. */
export const nodeTool = (...parts) => [process.execPath, inRoot('node_modules', ...parts)];

/**
 * Runs a command to its end. `stream`: its output goes to ours as it comes, besides being collected. `standsBack`: gets only the
 * processor time that others leave.
 * Never rejects: a command that cannot be started is a failure with the reason as output.
 */
export function run(command, { cwd = ROOT, env = {}, stream = false, timeoutMs = 0, standsBack = false } = {}) {
  return new Promise(resolve => {
    const [file, ...args] = command;
    const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    if (standsBack && child.pid !== undefined) setPriority(child.pid, Math.max(getPriority(), BELOW_NORMAL));
    const chunks = [];
    const take = (chunk, to) => {
      chunks.push(chunk);
      if (stream) to.write(chunk);
    };
    child.stdout.on('data', chunk => take(chunk, process.stdout));
    child.stderr.on('data', chunk => take(chunk, process.stderr));
    const timer = timeoutMs > 0 ? setTimeout(() => child.kill('SIGKILL'), timeoutMs) : undefined;
    let spawnError;
    child.on('error', error => {
      spawnError = error;
    });
    child.on('close', code => {
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString('utf8');
      resolve({ code: spawnError ? 127 : (code ?? 1), output: spawnError ? `${output}${spawnError.message}\n` : output });
    });
  });
}

const seconds = ms => `${(ms / 1000).toFixed(1)} s`;

/**
 * Runs steps with at most `limit` at a time; one line per step as it ends, the output of failed ones after it.
 * A step is `{ name, command }` or `{ name, task }`, where task returns `{ ok, output }`. Returns passed and failed counts.
 */
export async function runSteps(steps, limit) {
  const waiting = [...steps];
  const failed = [];
  let passed = 0;
  const work = async () => {
    for (let step = waiting.shift(); step; step = waiting.shift()) {
      const started = Date.now();
      const { ok, output } = await runStep(step);
      const time = seconds(Date.now() - started);
      if (ok) {
        passed += 1;
        console.log(`ok    ${step.name} (${time})`);
      } else {
        failed.push(step.name);
        console.log(`FAIL  ${step.name} (${time})\n${output.trimEnd().replace(/^/gm, '      ')}`);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, steps.length) }, work));
  return { passed, failed };
}

async function runStep(step) {
  if (step.task) {
    try {
      return await step.task();
    } catch (error) {
      return { ok: false, output: error.stack ?? String(error) };
    }
  }
  const { code, output } = await run(step.command);
  return { ok: code === 0, output };
}
