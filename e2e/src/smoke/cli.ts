import { readFileSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { runSmoke } from './smoke.ts';

// tsx e2e/src/smoke/cli.ts <host:port> [certificate.pem]
const [address = 'localhost:2072', certificate] = process.argv.slice(2);
const channel = certificate === undefined ? credentials.createInsecure() : credentials.createSsl(readFileSync(certificate));
const { passed, failed, uncalled } = await runSmoke(address, channel);
for (const check of passed) console.log(`ok      ${check}`);
for (const { check, reason } of failed) console.log(`FAILED  ${check}: ${reason}`);
for (const method of uncalled) console.log(`not called: ${method}`);
process.exitCode = failed.length + uncalled.length === 0 ? 0 : 1;
