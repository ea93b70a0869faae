export { emptyMemoryEngineState, type MemoryEngineState, openMemoryEngine } from './memory-engine.ts';
export { emptyMemoryLogState, type MemoryLogState, openMemoryLog } from './memory-log.ts';
