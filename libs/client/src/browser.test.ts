import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

test('the browser entry bundles without Node.js and without gRPC', async () => {
  const { metafile } = await build({
    entryPoints: [fileURLToPath(new URL('./browser.ts', import.meta.url))],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const files = Object.keys(metafile.inputs);
  expect(files.filter(file => /grpc-js|src\/grpc\//.test(file))).toEqual([]);
  expect(Object.values(metafile.inputs).flatMap(input => input.imports.filter(({ external }) => external))).toEqual([]);
});
