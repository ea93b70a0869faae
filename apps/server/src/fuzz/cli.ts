import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

// npm run fuzz -- [--seconds N] [--seed N]
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } } });
const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed);
console.log(`seed ${seed}, ${values.seconds} s; again: npm run fuzz -- --seed ${seed} --seconds ${values.seconds}`);
const report = await fuzz(Number(values.seconds), seed);
console.log(
  `${report.grpcCalls} gRPC calls and streams, ${report.restRequests} REST requests, ${report.watchMessages} watch messages`,
);
for (const finding of report.findings) console.error(`\n${finding}`);
process.exit(report.findings.length === 0 ? 0 : 1);
