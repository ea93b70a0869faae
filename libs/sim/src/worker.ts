import { sweep } from './sweep.ts';

/** One process of a sweep: `worker FROM TO STEP` prints one report a line. */
const [from, to, step] = process.argv.slice(2).map(Number) as [number, number, number];
await sweep(from, to, step, report => process.stdout.write(`${JSON.stringify(report)}\n`));
