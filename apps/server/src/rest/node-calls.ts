import type { KahunaNode, ResultSink } from '@kahuna/node';
import type { LockOperation, Operation, OperationResult, SequenceOperation } from '@kahuna/partition';

/** Items of one batch that are under way at a time: bounds memory, and the turn of the event loop that a huge batch may take. */
const WINDOW = 1024;

/** Operations of the REST surface under way at the node, each with its promise. */
export class NodeCalls implements ResultSink {
  private readonly node: KahunaNode;
  private readonly waiting = new Map<number, (result: OperationResult) => void>();
  private nextToken = 1;

  constructor(node: KahunaNode) {
    this.node = node;
  }

  get pending(): number {
    return this.waiting.size;
  }

  complete(token: number, result: OperationResult): void {
    const resolve = this.waiting.get(token);
    this.waiting.delete(token);
    resolve?.(result);
  }

  /** Never rejects: the node answers every operation. */
  run(operation: Operation | LockOperation | SequenceOperation): Promise<OperationResult> {
    const token = this.nextToken++;
    return new Promise(resolve => {
      this.waiting.set(token, resolve);
      this.node.submit(operation, this, token, 0);
    });
  }

  /** In order of the list; operations of one key take effect in that order too. */
  async runAll(operations: readonly Operation[]): Promise<OperationResult[]> {
    const results: OperationResult[] = [];
    for (let from = 0; from < operations.length; from += WINDOW) {
      const window = operations.slice(from, from + WINDOW).map(operation => this.run(operation));
      results.push(...(await Promise.all(window)));
    }
    return results;
  }
}
