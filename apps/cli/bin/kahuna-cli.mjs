#!/usr/bin/env node
// The command line as it was built; a fresh clone builds it with npm start or npm run build.
try {
  await import('../../../dist/cli/main.mjs');
} catch (error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !error.message.includes('dist/cli/main.mjs')) throw error;
  console.error('kahuna-cli is not built yet: npm run build');
  process.exitCode = 1;
}
