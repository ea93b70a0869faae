import { parseArgs } from 'node:util';
import { runSeed } from './run.ts';
import { addToTotals, newTotals, rerunCommand, type SweepTotals } from './sweep.ts';
import { sweepInProcesses } from './sweep-processes.ts';

const USAGE = `npm run sim -- --seed N [--trace]               replays one seed
npm run sim -- --seeds COUNT [--from N] [--jobs J]   sweeps COUNT seeds in J processes (2)`;

/** A sweep of so many seeds must reach everything that `world/reached.ts` names. */
const COMPLETE_SEEDS = 2000;
/** A line of totals at most this often. Milliseconds. */
const PROGRESS_MS = 10_000;

async function replay(seed: number, trace: boolean): Promise<number> {
  const report = await runSeed(seed, trace ? line => console.log(line) : undefined);
  const { failure, ...facts } = report;
  console.log(JSON.stringify(facts));
  console.log(failure ?? 'nothing is wrong');
  return failure === undefined ? 0 : 1;
}

async function sweepSeeds(from: number, count: number, jobs: number): Promise<number> {
  const started = performance.now();
  const totals = newTotals();
  let told = started;
  const onReport = (report: Parameters<typeof addToTotals>[1]): void => {
    addToTotals(totals, report);
    if (report.failure !== undefined) console.log(`\nseed ${report.seed}: ${report.failure}\n  ${rerunCommand(report.seed)}`);
    if (performance.now() - told < PROGRESS_MS) return;
    told = performance.now();
    console.log(`${summary(totals, started)}, seed ${report.seed}`);
  };
  await sweepInProcesses(from, from + count, jobs, onReport);
  console.log(summary(totals, started));
  console.log(totals.reached.table());
  // A few seeds cannot reach everything; many that do not are a sweep with a gap.
  const { missing } = totals.reached;
  if (count >= COMPLETE_SEEDS && missing.length > 0) {
    console.log(`this sweep never reached: ${missing.join(', ')}`);
    return 1;
  }
  return totals.failures.length === 0 ? 0 : 1;
}

function summary(totals: SweepTotals, started: number): string {
  const minutes = (performance.now() - started) / 60_000;
  const hours = totals.simulatedMs / 3_600_000;
  const rate = hours / minutes;
  return `${totals.runs} seeds, ${totals.failures.length} failed, ${hours.toFixed(2)} simulated hours, ${rate.toFixed(2)} per real minute, ${Math.round(totals.events / minutes / 1000)}k events per minute`;
}

const OPTIONS = {
  seed: { type: 'string' },
  trace: { type: 'boolean', default: false },
  seeds: { type: 'string' },
  from: { type: 'string', default: '1' },
  jobs: { type: 'string', default: '2' },
  help: { type: 'boolean', default: false },
} as const;

/** What was asked for; undefined after a wrong command line, whose fault is said. */
function asked() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

async function main(): Promise<number> {
  const values = asked();
  if (values === undefined || values.help) {
    console.log(USAGE);
    return values === undefined ? 2 : 0;
  }
  if (values.seed !== undefined) return replay(Number(values.seed), values.trace);
  if (values.seeds !== undefined) return sweepSeeds(Number(values.from), Number(values.seeds), Number(values.jobs));
  console.log(USAGE);
  return 2;
}

process.exitCode = await main();
