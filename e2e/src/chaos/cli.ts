import { join } from 'node:path';
import { runChaos } from './chaos.ts';
import { DISK_FULL_KIND } from './disk-full.ts';

const USAGE = `npm run chaos -- [--minutes 10] [--seed N] [--clients 4] [--only kill,pause] [--keep]

Three server processes, clients on all of them over REST, gRPC and the batch stream; faults one after the other: kill -9, SIGSTOP,
isolation (both ways and one way), delay, full disk (as root), while history is pruned. A run, however short, begins with each of them
once and the kill of every node. Afterwards the histories are checked: keys for linearizability, locks for exclusion and growing tokens,
sequences for values issued twice and keys with two values, reads of many keys and of the past for being one cut that holds keep
readable, watches for telling every change once and in order.
--clients counts per node. --keep keeps logs and history of a good run too; those of a bad one are always kept.`;

function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

if (process.argv.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}

const minutes = Number(option('minutes') ?? 10);
const seed = Number(option('seed') ?? Date.now() % 1_000_000);
const evidence = join('.kahuna', 'chaos', `seed-${seed}`);
const only = option('only')?.split(',');
console.log(`chaos for ${minutes} min, seed ${seed} (the order of faults and operations; timing is the machine's)`);

const began = Date.now();
const say = (line: string): void => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
const report = await runChaos(
  {
    ...{ seconds: minutes * 60, seed, clientsPerNode: Number(option('clients') ?? 4), evidence },
    ...{ keep: process.argv.includes('--keep'), ...(only ? { only } : {}) },
  },
  say,
);

const kinds = new Map<string, number>();
for (const { kind } of report.faults) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
console.log(`\n${report.faults.length} faults: ${[...kinds].map(([kind, count]) => `${count} × ${kind}`).join(', ')}`);
if (only === undefined && !report.kinds.includes(DISK_FULL_KIND))
  console.log('no full disk: mounting small file systems needs root');
console.log(
  `${report.operations} key operations answered (${Math.round(report.perSecond)}/s) on ${report.keys} keys, ${report.unknown} writes of unknown outcome, ${report.broken} broken connections`,
);
const beside = Object.entries(report.beside).map(([name, operations]) => `${operations} operations on ${name}`);
console.log(`beside them ${beside.join(', ')}`);
const { snapshots, watchesResumed } = report;
console.log(
  `${snapshots?.heldReads ?? 0} reads inside holds, ${snapshots?.heldReadsOfThePast ?? 0} of them of superseded versions, ${snapshots?.prunedReads ?? 0} reads of history that was gone; watches resumed ${watchesResumed} times`,
);
if (report.violation === undefined) {
  console.log(
    'verdict: every history of keys is linearizable, nothing acknowledged was lost; no lock had two owners, tokens only grew; no value of a sequence was issued twice; reads of many keys showed one cut, held ones always; every change was told once and in order',
  );
} else {
  console.log(
    `verdict: VIOLATION (logs and history in ${evidence}; again: npm run chaos -- --minutes ${minutes} --seed ${seed})`,
  );
  console.log(report.violation);
}
process.exit(report.violation === undefined ? 0 : 1);
