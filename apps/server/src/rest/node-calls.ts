import type { KahunaNode, ResultSink } from '@kahuna/node';
import {
  type LockOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type SequenceOperation,
} from '@kahuna/partition';
import { MAX_MANY_BYTES, windowEnd } from '../gateway/many-window.ts';
import { refusal } from '../gateway/validate.ts';

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

  /** In order of the list; operations of one key take effect in that order too. All `Errored` if their values are too large for one answer. */
  async runAll(operations: readonly Operation[]): Promise<OperationResult[]> {
    const results: OperationResult[] = [];
    let bytes = 0;
    while (results.length < operations.length) {
      const window = operations.slice(results.length, windowEnd(operations, results.length));
      for (const result of await Promise.all(window.map(operation => this.run(operation)))) {
        bytes += result.value?.length ?? 0;
        results.push(result);
      }
      if (bytes > MAX_MANY_BYTES) return operations.map(() => refusal(ResponseType.Errored));
    }
    return results;
  }
}
