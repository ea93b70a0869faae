import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const USAGE = `npm run fuzz -- [--seconds 60] [--seed N]

Hostile requests to every gRPC method, REST route and WebSocket of a node: only documented answers, and the node goes on.`;

/** A wrong command line ends with the reason and the usage. */
function options(): { readonly seconds: string; readonly seed: string | undefined } {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (!values.help) return { seconds: values.seconds, seed: values.seed };
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exit(1);
  }
}

const values = options();
const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed);
console.log(`seed ${seed}, ${values.seconds} s; again: npm run fuzz -- --seed ${seed} --seconds ${values.seconds}`);
const report = await fuzz(Number(values.seconds), seed);
console.log(
  `${report.grpcCalls} gRPC calls and streams, ${report.restRequests} REST requests, ${report.watchMessages} watch messages`,
);
for (const finding of report.findings) console.error(`\n${finding}`);
process.exit(report.findings.length === 0 ? 0 : 1);
