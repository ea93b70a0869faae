import { connect, createServer, type Socket } from 'node:net';
import { Kahuna, KahunaError, OutcomeUnknownError, text } from '@kahuna/client';
import { startEmbeddedNode } from '@kahuna/server';
import { describe, expect, test } from 'vitest';
import { HANGS_MS } from '../harness/processes.ts';

/** A proxy in front of one node whose connections a test can cut or silence. */
async function cutter(target: number): Promise<{ port: number; cut(): void; stall(): void; close(): Promise<void> }> {
  const pairs = new Set<[Socket, Socket]>();
  const server = createServer(near => {
    const far = connect(target, '127.0.0.1');
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP port');
  return {
    port: address.port,
    cut: () => {
      for (const [near, far] of pairs) {
        near.destroy();
        far.destroy();
      }
    },
    stall: () => {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
      }
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        for (const [near] of pairs) near.destroy();
      }),
  };
}

describe('connections that break', () => {
  test('reads go on over cuts; writes succeed or say that nobody knows; what was acknowledged is there', async () => {
    await using node = await startEmbeddedNode();
    const proxy = await cutter(node.port);
    const kahuna = new Kahuna({ endpoints: `http://127.0.0.1:${proxy.port}` });
    const texts = kahuna.keys.as(text);
    const acknowledged = new Map<string, string>();
    let unknown = 0;
    for (let round = 0; round < 5; round++) {
      const writes = Array.from({ length: 100 }, async (_, i) => {
        const key = `cut/${round}-${i}`;
        try {
          await texts.set(key, key);
          acknowledged.set(key, key);
        } catch (error) {
          expect(error).toBeInstanceOf(OutcomeUnknownError);
          unknown += 1;
        }
      });
      const reads = Array.from({ length: 100 }, (_, i) => texts.get(`cut/${round}-${i}`));
      setImmediate(proxy.cut);
      await Promise.all([...writes, ...reads]);
    }
    expect(acknowledged.size + unknown).toBe(500);
    for (const [key, value] of acknowledged) expect((await texts.get(key))?.value).toBe(value);
    await kahuna.close();
    await proxy.close();
  });

  test('more than the network takes at once waits its turn in the client', async () => {
    await using node = await startEmbeddedNode();
    await using kahuna = new Kahuna({ endpoints: node.url });
    const value = new Uint8Array(256 * 1024);
    const ephemeral = kahuna.keys.with({ durability: 'ephemeral' });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ephemeral.set(`large/${i % 4}`, value)));
    expect(answers.every(answer => answer.set)).toBe(true);
    const small = await Promise.all(Array.from({ length: 10_000 }, (_, i) => ephemeral.set(`small/${i % 100}`, 'v')));
    expect(small.every(answer => answer.set)).toBe(true);
  });

  test('a node that restarts on its port is found again', async () => {
    const first = await startEmbeddedNode();
    const kahuna = new Kahuna({ endpoints: first.url });
    await kahuna.keys.set('a', '1');
    await first.stop();
    const early = kahuna.keys.get('a').catch((error: unknown) => error);
    await using second = await startEmbeddedNode({ port: first.port });
    expect(second.url).toBe(first.url);
    const seen = await early;
    if (seen !== undefined) expect(seen).toBeInstanceOf(KahunaError);
    await expect
      .poll(
        () =>
          kahuna.keys.set('b', '2').then(
            answer => answer.set,
            () => false,
          ),
        { timeout: HANGS_MS },
      )
      .toBe(true);
    await kahuna.close();
  });

  test('an acquired lock whose connection falls silent is lost by the clock, before its lease is over at the server', async () => {
    await using node = await startEmbeddedNode();
    const proxy = await cutter(node.port);
    await using direct = new Kahuna({ endpoints: node.url });
    const kahuna = new Kahuna({ endpoints: `http://127.0.0.1:${proxy.port}` });
    const lock = await kahuna.lock('silent', { leaseMs: 15_000, safetyMarginMs: 8000 });
    proxy.stall();
    const lost = await new Promise<unknown>(resolve =>
      lock.signal.addEventListener('abort', () => resolve(lock.signal.reason), { once: true }),
    );
    expect(lost).toMatchObject({ reason: 'lease-over' });
    expect(await direct.tryLock('silent')).toBeUndefined();
    // Nobody need wait for the rest of it.
    await direct.locks.release('silent', { owner: lock.owner });
    await using next = await direct.lock('silent', { retryMs: 50 });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await kahuna.close();
    await proxy.close();
  });
});
