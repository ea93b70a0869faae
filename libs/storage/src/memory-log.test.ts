import { describe } from 'vitest';
import { logConformance } from './log-conformance.ts';
import { emptyMemoryLogState, openMemoryLog } from './memory-log.ts';

describe('memory log', () => {
  logConformance(() => {
    const state = emptyMemoryLogState();
    return { open: () => openMemoryLog(state) };
  });
});
