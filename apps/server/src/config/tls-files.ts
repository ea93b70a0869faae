import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { FlagError } from './parse-flags.ts';

/** Reads `--https-certificate`: a PEM bundle of certificate and key, or PKCS#12. Throws {@link FlagError} for what cannot be used. */
export function readCertificate(path: string, password: string): SecureContextOptions {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    throw new FlagError(`--https-certificate: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  const secret = password === '' ? {} : { passphrase: password };
  const options = file.includes('-----BEGIN') ? { cert: file, key: file, ...secret } : { pfx: file, ...secret };
  try {
    createSecureContext(options);
  } catch (error) {
    // OpenSSL's reason; it never holds the password.
    throw new FlagError(`--https-certificate: ${path} cannot be used (${(error as Error).message})`);
  }
  return options;
}
