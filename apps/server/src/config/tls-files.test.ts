import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { TEST_CERTIFICATE_FILE } from '../testing/certificate.ts';
import { FlagError } from './parse-flags.ts';
import { readCertificate } from './tls-files.ts';

/** The same certificate and key as the PEM file, with this password. */
const PKCS12_FILE = TEST_CERTIFICATE_FILE.replace('.pem', '.p12');
const PASSWORD = 'kahuna';

const directory = mkdtempSync(join(tmpdir(), 'kahuna-tls-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('operations §12: --https-certificate', () => {
  test.each([
    ['a PEM bundle', TEST_CERTIFICATE_FILE, ''],
    ['PKCS#12 with its password', PKCS12_FILE, PASSWORD],
  ])('%s serves TLS', async (_what, path, password) => {
    const server = createServer(readCertificate(path, password), socket => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: 'localhost', port, ca: readFileSync(TEST_CERTIFICATE_FILE) });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    socket.destroy();
    server.close();
  });

  test.each([
    ['a file that is not there', join(directory, 'none.pem'), ''],
    ['PKCS#12 with another password', PKCS12_FILE, 'wrong-secret'],
    ['a file that is no certificate', file('noise.pem', 'not a certificate'), ''],
    [
      'a certificate without its key',
      file('half.pem', readFileSync(TEST_CERTIFICATE_FILE, 'utf8').split('-----BEGIN PRIVATE')[0] ?? ''),
      '',
    ],
  ])('%s is refused, with the option and the file named and the password kept', (_what, path, password) => {
    const attempt = (): unknown => readCertificate(path, password);
    expect(attempt).toThrow(FlagError);
    expect(attempt).toThrow('--https-certificate');
    expect(attempt).toThrow(path);
    expect(attempt).not.toThrow('wrong-secret');
  });
});
