import type { ScanRow } from './scan-operation.ts';

/** Estimated cost of a row beside its key and value. */
const ROW_BYTES = 64;

/** The rows with the smallest keys among all that were added: a binary heap whose root is the greatest row kept. */
export class TopRows {
  readonly rows: ScanRow[] = [];
  /** Of keys and values kept. */
  bytes = 0;
  private readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Whether a row of this key would be kept. */
  takes(key: string): boolean {
    return this.rows.length < this.capacity || (this.rows.length > 0 && key < (this.rows[0] as ScanRow).key);
  }

  add(row: ScanRow): void {
    if (!this.takes(row.key)) return;
    this.bytes += rowBytes(row);
    if (this.rows.length < this.capacity) {
      this.rows.push(row);
      this.rise(this.rows.length - 1);
    } else {
      this.bytes -= rowBytes(this.rows[0] as ScanRow);
      this.rows[0] = row;
      this.sink();
    }
  }

  sorted(): ScanRow[] {
    return this.rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  private rise(from: number): void {
    const { rows } = this;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((rows[parent] as ScanRow).key > (rows[at] as ScanRow).key) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private sink(): void {
    const { rows } = this;
    for (let at = 0; ; ) {
      let child = 2 * at + 1;
      if (child >= rows.length) return;
      if (child + 1 < rows.length && (rows[child + 1] as ScanRow).key > (rows[child] as ScanRow).key) child++;
      if ((rows[at] as ScanRow).key > (rows[child] as ScanRow).key) return;
      this.swap(at, child);
      at = child;
    }
  }

  private swap(a: number, b: number): void {
    const row = this.rows[a] as ScanRow;
    this.rows[a] = this.rows[b] as ScanRow;
    this.rows[b] = row;
  }
}

/** What a row adds to a page or an answer. */
export function rowBytes(row: ScanRow): number {
  return ROW_BYTES + row.key.length + (row.result.value?.length ?? 0);
}
