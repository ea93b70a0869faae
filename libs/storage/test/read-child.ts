/** Reads rows by their keys and says so on standard output. Arguments: rocksdb | sqlite, directory, keys in hexadecimal. */
import { openRocksEngine, openSqliteEngine } from '../src/index.ts';

const [kind, directory, ...keys] = process.argv.slice(2) as ['rocksdb' | 'sqlite', string, ...string[]];
const engine = await (kind === 'rocksdb' ? openRocksEngine({ directory }) : openSqliteEngine({ directory }));
engine.getMany(
  keys.map(key => Uint8Array.from(Buffer.from(key, 'hex'))),
  (error, values) => {
    if (error !== undefined) throw error;
    process.stdout.write(`${values.length} rows\n`);
  },
);
