import type { KahunaNode, ResultSink } from '@kahuna/node';
import type { LockOperation, Operation, OperationResult, SequenceOperation } from '@kahuna/partition';
import { windowEnd } from '../gateway/many-window.ts';

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
    while (results.length < operations.length) {
      const window = operations.slice(results.length, windowEnd(operations, results.length));
      results.push(...(await Promise.all(window.map(operation => this.run(operation)))));
    }
    return results;
  }
}
