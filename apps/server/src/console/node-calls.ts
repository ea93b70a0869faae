import type { KahunaNode, ResultSink } from '@kahuna/node';
import type { OperationResult } from '@kahuna/partition';

type AnyOperation = Parameters<KahunaNode['submit']>[0];

/** Operations of the console under way at the node, each with its promise. Never rejects: the node answers every operation. */
export class ConsoleCalls implements ResultSink {
  private readonly node: KahunaNode;
  private readonly waiting = new Map<number, (result: OperationResult) => void>();
  private nextToken = 1;

  constructor(node: KahunaNode) {
    this.node = node;
  }

  complete(token: number, result: OperationResult): void {
    const resolve = this.waiting.get(token);
    this.waiting.delete(token);
    resolve?.(result);
  }

  run(operation: AnyOperation, deadlineMs: number): Promise<OperationResult> {
    const token = this.nextToken++;
    return new Promise(resolve => {
      this.waiting.set(token, resolve);
      this.node.submit(operation, this, token, deadlineMs);
    });
  }
}
