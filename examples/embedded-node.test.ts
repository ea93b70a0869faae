/** A real node inside the test process: no container, no port to choose, nothing left behind. */
import { Kahuna, text } from '@kahuna/client';
import { startEmbeddedNode } from '@kahuna/server';
import { expect, test } from 'vitest';

/** What the program under test might look like. */
async function registerInstance(kahuna: Kahuna, service: string, address: string): Promise<void> {
  await kahuna.keys.set(`services/${service}/${address}`, address, { ttlMs: 30_000 });
}

test('an instance that registered is found', async () => {
  await using node = await startEmbeddedNode();
  await using kahuna = new Kahuna({ endpoints: node.url });

  await registerInstance(kahuna, 'billing', '10.0.0.7:8080');

  const found: (string | null)[] = [];
  for await (const entry of kahuna.keys.as(text).bucket('services/billing')) found.push(entry.value);
  expect(found).toEqual(['10.0.0.7:8080']);
});

test('tests do not see each other: every node begins empty', async () => {
  await using node = await startEmbeddedNode();
  await using kahuna = new Kahuna({ endpoints: node.url });
  expect(await kahuna.keys.exists('services/billing/10.0.0.7:8080')).toBe(false);
});
