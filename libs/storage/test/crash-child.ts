import { RowBatch } from '@kahuna/base';
/**
 * Writes as fast as it can until it is killed, and says on standard output what was acknowledged. Arguments: log | rocksdb | sqlite, directory.
 */
import type { LogStore, StateEngine } from '@kahuna/node';
import { openFileLog, openRocksEngine, openSqliteEngine } from '../src/index.ts';
import { entry, record, startAt } from '../src/log-conformance.ts';

const [kind, directory] = process.argv.slice(2) as ['log' | 'rocksdb' | 'sqlite', string];
if (kind === 'log') {
  const log = openFileLog({ directory, segmentBytes: 64 * 1024 });
  log.recover(error => {
    if (error !== undefined) throw error;
    for (let index = 1; index <= 8; index++) appendFrom(log, index);
  });
} else {
  const engine = await (kind === 'rocksdb' ? openRocksEngine({ directory }) : openSqliteEngine({ directory }));
  for (let number = 1; number <= 4; number++) writeFrom(engine, number);
}

/** Every eighth entry: eight chains together append all, in order, with compaction behind them. */
function appendFrom(log: LogStore, index: number): void {
  const data = new Uint8Array((index * 37) % 6000).fill(index % 251);
  const start = index > 400 && index % 100 === 0 ? startAt(index - 300, 1) : undefined;
  log.append([record(1, { entries: [entry(index, 1, data)], start })], index, error => {
    if (error !== undefined) throw error;
    process.stdout.write(`${index}\n`);
    if (start !== undefined) log.release(new Map([[1, index]]));
    appendFrom(log, index + 8);
  });
}

/** Batches of a row and a counter, which only together make sense. */
function writeFrom(engine: StateEngine, number: number): void {
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(number);
  const rows = [
    { key: Uint8Array.of(1, ...counter), value: new Uint8Array(number % 3000) },
    { key: Uint8Array.of(0), value: Uint8Array.from(counter) },
  ];
  engine.write(RowBatch.of(rows), error => {
    if (error !== undefined) throw error;
    process.stdout.write(`${number}\n`);
    writeFrom(engine, number + 4);
  });
}
