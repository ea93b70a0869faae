import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const WORTH_COMPRESSING = /\.(js|css|html|svg|json)$/;

/** Writes `.br` and `.gz` beside every text file, so that the node serves them from disk without compressing anything itself. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    async writeBundle({ dir = 'dist' }) {
      for (const name of await readdir(dir, { recursive: true })) {
        if (!WORTH_COMPRESSING.test(name)) continue;
        const path = join(dir, name);
        const text = await readFile(path);
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length } };
        await writeFile(`${path}.br`, await promisify(brotliCompress)(text, quality));
        await writeFile(`${path}.gz`, await promisify(gzip)(text, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: '/ui/',
  plugins: [react(), precompress()],
  build: { target: 'es2022', sourcemap: false, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: { '/v1/console': { target: 'http://127.0.0.1:8080', ws: true } },
  },
});
