// Processes that a test run has left behind.
import { readdirSync, readFileSync } from 'node:fs';

/** Every process that a run starts inherits this variable, with the run's own value. */
export const RUN_MARK = 'KAHUNA_TEST_RUN';

/** How long what was told to end may take. Milliseconds. */
const GRACE_MS = 5000;

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

/** Ends what is still there a while after the run, and returns it. */
export async function endOrphans(run) {
  const deadline = Date.now() + GRACE_MS;
  while (processesOf(run).length > 0 && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 200));
  const left = processesOf(run);
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself after all.
    }
  }
  return left;
}
