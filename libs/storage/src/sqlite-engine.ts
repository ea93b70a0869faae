import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StateEngine } from '@kahuna/node';
import { EngineClient } from './engine-client.ts';
import type { SqliteEngineData } from './sqlite-engine.worker.ts';

export interface SqliteEngineOptions {
  /** Created if missing. */
  readonly directory: string;
}

/** Opens a state engine on SQLite (WAL journal, synchronous=NORMAL). The database lives wholly in a thread of its own. */
export async function openSqliteEngine(options: SqliteEngineOptions): Promise<StateEngine> {
  await mkdir(options.directory, { recursive: true });
  const data: SqliteEngineData = { file: join(options.directory, 'state.db') };
  const engine = new EngineClient('sqlite-engine', data);
  // The first answer tells whether the file could be opened.
  await new Promise<void>((resolve, reject) => {
    engine.getMany([], error => (error === undefined ? resolve() : reject(error)));
  });
  return engine;
}
