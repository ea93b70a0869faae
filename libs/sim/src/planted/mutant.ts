import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';
import { bundle } from '../bundle.ts';
import type { PlantedFault } from './faults.ts';

const LIBS = fileURLToPath(new URL('../../../', import.meta.url));
const ENTRY = fileURLToPath(new URL('../run.ts', import.meta.url));

/** The simulator with the code under test in one file, `fault` planted in it (undefined: as it is). Writes to `outfile`. */
export async function buildMutant(fault: PlantedFault | undefined, outfile: string): Promise<void> {
  const pending = new Set(fault?.edits ?? []);
  // Every file that a plugin is asked about costs a message to the bundler's process, so it is asked only about these.
  const names = [...pending].map(({ file }) => basename(file).replaceAll('.', '\\.'));
  const plugin: Plugin = {
    name: 'plant',
    setup(setup) {
      setup.onLoad({ filter: new RegExp(`/(${names.join('|')})$`) }, async ({ path }) => {
        const edits = [...pending].filter(edit => path === LIBS + edit.file);
        if (edits.length === 0) return undefined;
        let contents = await readFile(path, 'utf8');
        for (const edit of edits) {
          const parts = contents.split(edit.from);
          if (parts.length !== 2)
            throw new Error(`${fault?.name}: found ${parts.length - 1} times in ${edit.file}: ${edit.from}`);
          contents = parts.join(edit.to);
          pending.delete(edit);
        }
        return { contents, loader: 'ts' };
      });
    },
  };
  await bundle(ENTRY, outfile, { plugins: [plugin] });
  for (const edit of pending) throw new Error(`${fault?.name}: ${edit.file} is not part of the simulation`);
}
