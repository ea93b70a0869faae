import { assert } from '@kahuna/base';
import { type PartitionScan, PRUNED, type ReadPoint } from './scan.ts';
import type { ScanRow } from './scan-operation.ts';
import type { TopRows } from './top-rows.ts';

/** A scan of records that live in memory alone: decided whole when it begins. */
export class MemoryScan implements PartitionScan {
  readonly position = undefined;
  readonly looked: number;
  readonly aborted: boolean;
  readonly hiddenUntilMs: number;
  private rows: ScanRow[];

  constructor(point: ReadPoint, top: TopRows, looked: number) {
    this.looked = looked;
    this.rows = top.sorted();
    this.aborted = this.rows.some(row => row.result === PRUNED);
    this.hiddenUntilMs = point.hiddenUntilMs;
    this.bytes = top.bytes;
  }

  bytes: number;

  get heldBytes(): number {
    return this.bytes;
  }

  need(): undefined {
    return undefined;
  }

  takePage(): void {
    unexpected();
  }

  takeRows(): void {
    unexpected();
  }

  drain(): ScanRow[] {
    const { rows } = this;
    this.rows = [];
    this.bytes = 0;
    return rows;
  }
}

function unexpected(): never {
  assert(false, 'a scan of memory asks for nothing');
}
