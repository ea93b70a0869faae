import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../harness/processes.ts';
import { ServerProcess } from '../harness/server.ts';
import { runSmoke } from './smoke.ts';

const CERTIFICATE = fileURLToPath(new URL('../../../apps/server/src/testing/localhost.pem', import.meta.url));

describe('a client made from the published tables alone, against a server process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kahuna-smoke-'));
  let server: ServerProcess;
  let httpsPort: number;

  beforeAll(async () => {
    const [http, grpc, https, raft] = [await freePort(), await freePort(), await freePort(), await freePort()];
    httpsPort = https;
    server = new ServerProcess({
      name: 'smoke',
      directory,
      httpUrl: `http://127.0.0.1:${http}`,
      grpcAddress: `127.0.0.1:${grpc}`,
      args: [
        ...['--storage', 'memory', '--http-ports', String(http), '--grpc-cleartext-ports', String(grpc)],
        ...['--https-ports', String(https), '--https-certificate', CERTIFICATE, '--raft-port', String(raft)],
      ],
    });
    server.start();
    await server.ready();
  });

  afterAll(async () => {
    await server.kill();
    rmSync(directory, { recursive: true, force: true });
  });

  const targets: readonly (readonly [string, () => string, () => ChannelCredentials])[] = [
    ['the gRPC port', () => server.options.grpcAddress, () => credentials.createInsecure()],
    ['the HTTP port, with prior knowledge', () => server.url.replace('http://', ''), () => credentials.createInsecure()],
    ['the HTTPS port', () => `localhost:${httpsPort}`, () => credentials.createSsl(readFileSync(CERTIFICATE))],
  ];

  test.each(targets)('grpc:13 every method answers as the contract says, on %s', async (_name, address, channel) => {
    const { passed, failed, uncalled } = await runSmoke(address(), channel());
    expect(failed).toEqual([]);
    expect(uncalled).toEqual([]);
    expect(passed.length).toBeGreaterThan(8);
  });
});
