// Processes that a test run has left behind.
import { readdirSync, readFileSync } from 'node:fs';

/** Every process that a run starts inherits this variable, with the run's own value. */
export const RUN_MARK = 'KAHUNA_TEST_RUN';

/** How long the end of a killed process may take on a busy machine. Milliseconds. */
const KILL_LIMIT_MS = 10_000;

/** Pid and command line of all running processes of this run but ourselves (proc(5)); none where there is no /proc. */
function processesOf(run) {
  const found = [];
  for (const pid of pids()) {
    if (Number(pid) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${RUN_MARK}=${run}`)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      if (command !== '') found.push({ pid: Number(pid), command }); // a zombie has none
    } catch {
      // It ended while we looked, or is somebody else's.
    }
  }
  return found;
}

function pids() {
  try {
    return readdirSync('/proc').filter(name => /^\d+$/.test(name));
  } catch {
    return []; // not Linux
  }
}

/** Ends what is still there after so many milliseconds, and what that starts meanwhile. Returns it. */
export async function endOrphans(run, graceMs) {
  const grace = Date.now() + graceMs;
  const ended = new Map();
  for (let left = processesOf(run); left.length > 0 && Date.now() < grace + KILL_LIMIT_MS; left = processesOf(run)) {
    if (Date.now() >= grace) {
      for (const { pid, command } of left) {
        ended.set(pid, command);
        kill(pid);
      }
    }
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  return [...ended].map(([pid, command]) => ({ pid, command }));
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself after all.
  }
}
