import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';

const SECONDS = 4;
const SEED = 20_261;
const LEAST = 50;

test('hostile requests to every gRPC method, REST route and WebSocket: documented answers, no fault, and the node serves on', async () => {
  const report = await fuzz(SECONDS, SEED, LEAST);
  expect(report.findings, `npm run fuzz -- --seed ${SEED}`).toEqual([]);
  expect(report.grpcCalls).toBeGreaterThan(LEAST);
  expect(report.restRequests).toBeGreaterThan(LEAST);
  expect(report.watchMessages).toBeGreaterThan(LEAST);
});
