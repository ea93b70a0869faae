export {
  DATA_FORMAT_VERSION,
  type DataDirectory,
  DataDirectoryError,
  type DataDirectoryOptions,
  type EngineKind,
  type LogKind,
  openDataDirectory,
} from './data-directory.ts';
export { type FileLogOptions, openFileLog } from './file-log.ts';
export type { LogPlace } from './log-recovery.ts';
export type { LogFaults } from './log-writer-protocol.ts';
export { emptyMemoryEngineState, type MemoryEngineState, openMemoryEngine } from './memory-engine.ts';
export { emptyMemoryLogState, type MemoryLogState, openMemoryLog } from './memory-log.ts';
export { openRocksEngine, type RocksEngineOptions } from './rocks-engine.ts';
export { LOG_FORMAT_VERSION, LogCorruptionError } from './segment-format.ts';
export { openSqliteEngine, type SqliteEngineOptions } from './sqlite-engine.ts';
