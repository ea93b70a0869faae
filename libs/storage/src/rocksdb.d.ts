/** The part of the binding that we use; it ships no types. Methods with an underscore skip the encodings of abstract-level. */
declare module '@nxtedition/rocksdb' {
  export interface RocksIterator {
    _seekSync(target: Uint8Array): void;
    /** Rows are keys and values in turn. */
    _nextvSync(count: number, options: object): { rows: Uint8Array[]; finished: boolean };
    _closeSync(): void;
  }

  export interface RocksBatch {
    _put(key: Uint8Array, value: Uint8Array, options: object): void;
    _del(key: Uint8Array, options: object): void;
    /** Writes on the calling thread. */
    _writeSync(options: { sync?: boolean }): void;
    _closeSync(): void;
  }

  export interface RocksIteratorOptions {
    gte?: Uint8Array;
    lt?: Uint8Array;
    reverse?: boolean;
    keyEncoding: 'buffer';
    valueEncoding: 'buffer';
    /** One call returns no more than this and one row. */
    highWaterMarkBytes: number;
    asyncIO?: boolean;
  }

  export class RocksLevel {
    /** A path, or the handle of a database that another thread of this process has open. */
    constructor(locationOrHandle: string | bigint);
    readonly handle: bigint;
    open(options: object): Promise<void>;
    close(): Promise<void>;
    _getMany(
      keys: readonly Uint8Array[],
      options: { valueEncoding: 'buffer' },
      done: (error: Error | null, values?: (Uint8Array | null | undefined)[]) => void,
    ): void;
    /** Reads on the calling thread. */
    _getManySync(keys: readonly Uint8Array[], options: { valueEncoding: 'buffer' }): (Uint8Array | null | undefined)[];
    _chainedBatch(): RocksBatch;
    _iterator(options: RocksIteratorOptions): RocksIterator;
    /** Without `limit` one range tombstone, written on the calling thread. The callback comes later, also with an error. */
    _clear(options: { gte: Uint8Array; lt: Uint8Array }, done: (error: Error | null) => void): void;
  }
}
