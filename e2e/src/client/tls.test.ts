import { readFileSync } from 'node:fs';
import { Kahuna } from '@kahuna/client';
import { startEmbeddedNode } from '@kahuna/server';
import { expect, test } from 'vitest';

const pem = readFileSync(new URL('../../../apps/server/src/testing/localhost.pem', import.meta.url), 'utf8');

test('https endpoints: a certificate of the node’s own making is trusted when it is given, or when the caller says so', async () => {
  await using node = await startEmbeddedNode({ certificate: { cert: pem, key: pem } });
  expect(node.url).toMatch(/^https:/);
  await using trusting = new Kahuna({ endpoints: node.url, tls: { ca: pem } });
  await trusting.keys.set('tls', 'given');
  await using careless = new Kahuna({ endpoints: node.url, tls: { verify: false } });
  expect(await careless.keys.exists('tls')).toBe(true);
  await using strict = new Kahuna({ endpoints: node.url });
  await expect(strict.keys.exists('tls', { timeoutMs: 1000 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});
