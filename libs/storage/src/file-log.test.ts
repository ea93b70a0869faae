import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { openFileLog } from './file-log.ts';
import { logConformance } from './log-conformance.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-log-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('file log', () => {
  logConformance(() => {
    const directory = mkdtempSync(join(root, 'log-'));
    return { open: () => openFileLog({ directory, segmentBytes: 64 * 1024 }) };
  });
});
