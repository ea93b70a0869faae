import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAST_ELECTIONS } from '../harness/cluster.ts';
import { freePort, HANGS_MS, until } from '../harness/processes.ts';
import { ServerProcess } from '../harness/server.ts';
import { runSmoke } from './smoke.ts';

const CERTIFICATE = fileURLToPath(new URL('../../../apps/server/src/testing/localhost.pem', import.meta.url));

/** The layout that released clients and tools know: one HTTPS port per node for clients and for the other nodes (operations §1.1). */
describe('three nodes that speak TLS only', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kahuna-tls-cluster-'));
  let ports: readonly number[] = [];
  let nodes: readonly ServerProcess[] = [];

  beforeAll(async () => {
    ports = [await freePort(), await freePort(), await freePort()];
    const httpPorts = [await freePort(), await freePort(), await freePort()];
    nodes = ports.map((port, i) => {
      const peers = ports.filter(other => other !== port).map(other => `localhost:${other}`);
      return new ServerProcess({
        name: `tls-${i + 1}`,
        directory,
        httpUrl: `http://127.0.0.1:${httpPorts[i]}`,
        grpcAddress: `localhost:${port}`,
        args: [
          ...['--storage-path', join(directory, `data-${i}`), '--wal-path', join(directory, `wal-${i}`)],
          ...['--raft-nodename', `tls-${i + 1}`, '--raft-nodeid', String(i + 1)],
          ...['--http-ports', String(httpPorts[i]), '--https-ports', String(port), '--raft-port', String(port)],
          ...['--https-certificate', CERTIFICATE, '--raft-allow-insecure-certificate-validation'],
          ...['--initial-cluster', ...peers],
          ...FAST_ELECTIONS,
        ],
      });
    });
    for (const node of nodes) node.start();
    await Promise.all(nodes.map(node => node.ready()));
  });

  afterAll(async () => {
    await Promise.all(nodes.map(node => node.kill()));
    rmSync(directory, { recursive: true, force: true });
  });

  function post(
    port: number,
    path: string,
    body: object,
  ): Promise<{ readonly type: number; readonly value?: string; readonly route?: { readonly endpoint: string } }> {
    return new Promise((resolve, reject) => {
      const options = {
        method: 'POST',
        ca: readFileSync(CERTIFICATE),
        headers: { 'content-type': 'application/json' },
        agent: false,
      };
      const outgoing = request(`https://localhost:${port}${path}`, options, incoming => {
        let text = '';
        incoming.on('data', chunk => {
          text += chunk;
        });
        incoming.on('end', () => resolve(JSON.parse(text)));
      });
      outgoing.on('error', reject);
      outgoing.end(JSON.stringify(body));
    });
  }

  test('what one node wrote, every node reads, and hints name https URLs', async () => {
    const endpoints = ports.map(port => `https://localhost:${port}`);
    for (const [i, port] of ports.entries()) {
      const key = `tls/${i}`;
      const set = await post(port, '/v1/kv/try-set', { key, value: 'AQ==', durability: 1 });
      expect(set.type).toBe(0);
      expect(endpoints).toContain(set.route?.endpoint);
      for (const other of ports) {
        expect(await post(other, '/v1/kv/try-get', { key, durability: 1 })).toMatchObject({ type: 3, value: 'AQ==' });
      }
    }
  });

  test('grpc:13 every method over TLS, through each node', async () => {
    for (const port of ports) {
      const { failed, uncalled } = await runSmoke(`localhost:${port}`, credentials.createSsl(readFileSync(CERTIFICATE)));
      expect(failed).toEqual([]);
      expect(uncalled).toEqual([]);
    }
  });

  test('a node that was killed and started again serves what the others wrote meanwhile', async () => {
    const [first, second] = ports as [number, number];
    await nodes[0]?.kill();
    await until(
      'a write without the first node',
      HANGS_MS,
      async () => (await post(second, '/v1/kv/try-set', { key: 'tls/later', value: 'Ag==', durability: 1 })).type === 0,
    );
    nodes[0]?.start();
    await nodes[0]?.ready();
    await until(
      'the first node serves it',
      HANGS_MS,
      async () => (await post(first, '/v1/kv/try-get', { key: 'tls/later', durability: 1 })).value === 'Ag==',
    );
  });
});
