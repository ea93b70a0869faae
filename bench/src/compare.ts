import { cpuSeconds } from '@kahuna/e2e';
import type { Load, LoadResult } from './load/generator.ts';
import { LoadProcess } from './load/load-process.ts';
import type { TargetSpec } from './load/target.ts';
import { median } from './statistics.ts';

/** One way to talk to one cluster. */
export interface Contestant {
  readonly name: string;
  readonly target: TargetSpec;
  readonly connections: number;
  readonly keyPrefix: string;
  /** Server processes, the one that serves the load first. */
  readonly pids: readonly number[];
}

export interface Plan {
  readonly operations: readonly Load['operation'][];
  readonly workers: readonly number[];
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** Each of the runs before the measured ones, at most. Default 8 seconds. */
  readonly warmUpSeconds?: number;
}

/** Medians over the rounds of one contestant under one load. CPU in microseconds per operation. */
export interface Measurement {
  readonly contestant: string;
  readonly operation: Load['operation'];
  readonly workers: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly clientCpuUs: number;
  readonly leaderCpuUs: number;
  /** Mean of the others. */
  readonly followerCpuUs: number;
  readonly errors: number;
  /** Throughput of each round, to show the spread. */
  readonly rounds: readonly number[];
}

interface Round {
  readonly result: LoadResult;
  readonly serverCpuSeconds: readonly number[];
}

/** Messages after which the JIT has settled: a cold client uses twice the CPU per operation. */
const WARM_UP_MESSAGES = 20_000;
/** Where several operations share a message, as many messages would take too long: so many operations in place of them. */
const WARM_UP_OPERATIONS = 80_000;

/**
 * Measures all contestants under all loads, interleaved: within a round each contestant has its turn under the same load, and the
 * order is reversed every other round, so that what the machine does besides falls on all alike.
 */
export async function compare(
  contestants: readonly Contestant[],
  plan: Plan,
  say: (line: string) => void,
): Promise<Measurement[]> {
  const open: { contestant: Contestant; process: LoadProcess }[] = [];
  try {
    for (const contestant of contestants) {
      open.push({ contestant, process: await LoadProcess.open(contestant.target, contestant.connections) });
    }
    for (const { contestant, process } of open) await warmUp(contestant, process, plan, say);

    const rounds = new Map<string, Round[]>();
    for (const operation of plan.operations) {
      for (const workers of plan.workers) {
        for (let round = 0; round < plan.rounds; round++) {
          const turn = round % 2 === 0 ? open : [...open].reverse();
          for (const { contestant, process } of turn) {
            const load = { ...baseLoad(contestant, plan), operation, workers, seed: 1000 + round, seconds: plan.secondsPerRound };
            const measured = await runRound(contestant, process, { ...load, operations: Number.MAX_SAFE_INTEGER });
            const key = `${contestant.name}|${operation}|${workers}`;
            rounds.set(key, [...(rounds.get(key) ?? []), measured]);
          }
        }
        for (const { contestant } of open) {
          const m = summarise(contestant, operation, workers, rounds.get(`${contestant.name}|${operation}|${workers}`) ?? []);
          say(
            `${operation} ${workers}: ${m.contestant}: ${Math.round(m.perSecond)}/s, p50 ${m.p50Ms.toFixed(2)} p99 ${m.p99Ms.toFixed(2)} ms`,
          );
        }
      }
    }
    return plan.operations.flatMap(operation =>
      plan.workers.flatMap(workers =>
        contestants.map(contestant =>
          summarise(contestant, operation, workers, rounds.get(`${contestant.name}|${operation}|${workers}`) ?? []),
        ),
      ),
    );
  } finally {
    await Promise.all(open.map(({ process }) => process.close()));
  }
}

function baseLoad(contestant: Contestant, plan: Plan): Pick<Load, 'keyPrefix' | 'keys' | 'valueBytes'> {
  return { keyPrefix: contestant.keyPrefix, keys: plan.keys, valueBytes: plan.valueBytes };
}

/** Lays down every key, if there are keys, then runs all operations, alone and together, until enough messages have passed. */
async function warmUp(contestant: Contestant, process: LoadProcess, plan: Plan, say: (line: string) => void): Promise<void> {
  const base = { ...baseLoad(contestant, plan), seed: 1, seconds: 60 };
  if (plan.operations.includes('put') || plan.operations.includes('get')) {
    const laid = await process.run({ ...base, operation: 'put', workers: 64, operations: plan.keys });
    if (laid.errors > 0) throw new Error(`${contestant.name}: ${laid.errors} of ${plan.keys} keys could not be written`);
  }
  const seconds = plan.warmUpSeconds ?? 8;
  const together = Math.min(64, Math.max(...plan.workers));
  for (const operation of plan.operations) {
    await process.run({ ...base, operation, workers: 1, operations: WARM_UP_MESSAGES, seconds });
    await process.run({ ...base, operation, workers: together, operations: WARM_UP_OPERATIONS, seconds });
  }
  say(`warmed up: ${contestant.name}`);
}

async function runRound(contestant: Contestant, process: LoadProcess, load: Load): Promise<Round> {
  const before = contestant.pids.map(cpuSeconds);
  const result = await process.run(load);
  const serverCpuSeconds = contestant.pids.map((pid, i) => cpuSeconds(pid) - (before[i] ?? 0));
  return { result, serverCpuSeconds };
}

function summarise(contestant: Contestant, operation: Load['operation'], workers: number, rounds: readonly Round[]): Measurement {
  const over = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const microseconds = (seconds: number, round: Round): number => (seconds / Math.max(1, round.result.operations)) * 1e6;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return {
    contestant: contestant.name,
    operation,
    workers,
    perSecond: over(round => round.result.perSecond),
    p50Ms: over(round => round.result.p50Ms),
    p99Ms: over(round => round.result.p99Ms),
    p999Ms: over(round => round.result.p999Ms),
    clientCpuUs: over(round => microseconds(round.result.cpuSeconds, round)),
    leaderCpuUs: over(round => microseconds(round.serverCpuSeconds[0] ?? 0, round)),
    followerCpuUs: over(round => microseconds(mean(round.serverCpuSeconds.slice(1)), round)),
    errors: rounds.reduce((sum, round) => sum + round.result.errors, 0),
    rounds: rounds.map(round => round.result.perSecond),
  };
}
