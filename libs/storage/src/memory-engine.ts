import type { RowBatch } from '@kahuna/base';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '@kahuna/node';
import BTreeModule from 'sorted-btree';
import { DeferredQueue } from './deferred-queue.ts';

// sorted-btree is CommonJS: depending on the loader the class is the default export or lies inside it.
const BTree = ('default' in BTreeModule ? BTreeModule.default : BTreeModule) as typeof BTreeModule;
type Tree = BTreeModule<Uint8Array, Uint8Array>;

/** Rows that several openings share, so that a test can stop and restart a node on them. */
export interface MemoryEngineState {
  readonly tree: Tree;
}

export function emptyMemoryEngineState(): MemoryEngineState {
  return { tree: new BTree<Uint8Array, Uint8Array>(undefined, compareKeys) };
}

/** The state engine of a node that keeps nothing on disk (operations §8). */
export function openMemoryEngine(state: MemoryEngineState = emptyMemoryEngineState()): StateEngine {
  return new MemoryEngine(state.tree);
}

/** Reads of one tree; closed, it refuses them. */
class TreeReader {
  protected tree: Tree | undefined;
  protected readonly queue: DeferredQueue;
  private readonly what: string;

  constructor(tree: Tree, queue: DeferredQueue, what: string) {
    this.tree = tree;
    this.queue = queue;
    this.what = what;
  }

  getMany(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const tree = this.tree;
    const values = tree === undefined ? [] : keys.map(key => tree.get(key));
    this.answer(error => done(error, values));
  }

  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void {
    const page = this.tree === undefined ? { rows: [], more: false } : readPage(this.tree, options);
    this.answer(error => done(error, page));
  }

  /** Answers later with the error that holds now. */
  protected answer(done: (error: Error | undefined) => void): void {
    const error = this.tree === undefined ? new Error(`the ${this.what} is closed`) : undefined;
    this.queue.push(() => done(error));
  }
}

class MemoryEngine extends TreeReader implements StateEngine {
  constructor(tree: Tree) {
    super(tree, new DeferredQueue(), 'state engine');
  }

  write(rows: RowBatch, done: (error: Error | undefined) => void): void {
    rows.forEach((key, value) => {
      if (value === undefined) this.tree?.delete(key);
      else this.tree?.set(key.slice(), value.slice());
    });
    this.answer(done);
  }

  deleteRange(range: EngineRange, done: (error: Error | undefined) => void): void {
    this.tree?.deleteRange(range.from, range.to, false);
    this.answer(done);
  }

  snapshot(done: (error: Error | undefined, snapshot: EngineSnapshot | undefined) => void): void {
    // A clone shares its nodes with the original until one side writes.
    const snapshot = this.tree === undefined ? undefined : new MemorySnapshot(this.tree.clone(), this.queue, 'engine snapshot');
    this.answer(error => done(error, snapshot));
  }

  sync(done: (error: Error | undefined) => void): void {
    this.answer(done);
  }

  close(done: (error: Error | undefined) => void): void {
    this.tree = undefined;
    this.queue.push(() => done(undefined));
  }
}

class MemorySnapshot extends TreeReader implements EngineSnapshot {
  close(): void {
    this.tree = undefined;
  }
}

function readPage(tree: Tree, { from, to, reverse = false, maxRows, maxBytes }: ScanOptions): ScanPage {
  const rows: { key: Uint8Array; value: Uint8Array }[] = [];
  let bytes = 0;
  const walk = reverse ? tree.entriesReversed(to, undefined, true) : tree.entries(from);
  for (const [key, value] of walk) {
    if (reverse ? compareKeys(key, from) < 0 : compareKeys(key, to) >= 0) return { rows, more: false };
    if (rows.length > 0 && (rows.length >= maxRows || bytes + key.length + value.length > maxBytes)) return { rows, more: true };
    rows.push({ key, value });
    bytes += key.length + value.length;
  }
  return { rows, more: false };
}

function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
