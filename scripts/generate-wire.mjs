/**
 * Generates libs/wire/src/generated from proto/.
 *
 *   node scripts/generate-wire.mjs           writes the code
 *   node scripts/generate-wire.mjs --check   writes nothing; fails if the committed code is not what proto/ says
 *
 * Needs nothing but the npm packages: the compiler is the binary inside @bufbuild/buf. One run per file, because
 * keyvalues.proto and locks.proto both declare TYPE_NONE and cannot be compiled together (grpc §2).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'libs/wire/src/generated');

/** ts-proto options; docs of each: its README. */
const options = [
  'outputServices=none',
  'forceLong=bigint',
  'snakeToCamel=false',
  'oneof=unions',
  'useOptionals=messages',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'esModuleInterop=true',
  'importSuffix=.ts',
];

function generateInto(folder) {
  const template = JSON.stringify({
    version: 'v2',
    plugins: [{ local: ['node', join(root, 'node_modules/ts-proto/protoc-gen-ts_proto')], out: folder, opt: options }],
  });
  for (const file of protoFiles()) {
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/@bufbuild/buf/bin/buf'), 'generate', 'proto', '--path', `proto/${file}`, '--template', template],
      { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
    );
  }
}

function protoFiles() {
  return readdirSync(join(root, 'proto')).filter(name => name.endsWith('.proto'));
}

function contentOf(folder) {
  return new Map(readdirSync(folder).map(name => [name, readFileSync(join(folder, name), 'utf8')]));
}

function differingFiles(expected, actual) {
  const names = new Set([...expected.keys(), ...actual.keys()]);
  return [...names].filter(name => expected.get(name) !== actual.get(name));
}

const scratch = mkdtempSync(join(tmpdir(), 'kahuna-wire-'));
try {
  generateInto(scratch);
  const fresh = contentOf(scratch);
  if (process.argv.includes('--check')) {
    const stale = differingFiles(fresh, contentOf(target));
    if (stale.length > 0) {
      console.error(`generated code is not up to date: ${stale.join(', ')}. Run: node scripts/generate-wire.mjs`);
      process.exitCode = 1;
    }
  } else {
    for (const name of readdirSync(target)) if (!fresh.has(name)) rmSync(join(target, name));
    for (const [name, text] of fresh) writeFileSync(join(target, name), text);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
