import { type RunReport, runSeed } from './run.ts';
import { ReachedTotals } from './world/reached.ts';

/** Totals of a sweep over many seeds. */
export interface SweepTotals {
  runs: number;
  failures: RunReport[];
  simulatedMs: number;
  events: number;
  readonly reached: ReachedTotals;
}

export function newTotals(): SweepTotals {
  return { runs: 0, failures: [], simulatedMs: 0, events: 0, reached: new ReachedTotals() };
}

export function addToTotals(totals: SweepTotals, report: RunReport): void {
  totals.runs++;
  totals.simulatedMs += report.simulatedMs;
  totals.events += report.events;
  totals.reached.add(report.reached);
  if (report.failure !== undefined) totals.failures.push(report);
}

/** How to see a seed again, alone and with every event. */
export function rerunCommand(seed: number): string {
  return `npm run sim -- --seed ${seed} --trace`;
}

/** Runs the seeds `from`, `from + step`, … below `to` in this process. */
export async function sweep(from: number, to: number, step: number, onReport: (report: RunReport) => void): Promise<void> {
  for (let seed = from; seed < to; seed += step) onReport(await runSeed(seed));
}
