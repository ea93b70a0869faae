import { compareOrdinal } from '@kahuna/range-router';
import type { ListingQuery, LockRow, SequenceRow } from './listing.ts';
import type { RowFormat, RowTable } from './row-table.ts';
import { type Interval, nameIn, nameInterval } from './stored-keys.ts';

export type ListedRow = LockRow | SequenceRow;

export function nameOf(row: ListedRow): string {
  return 'entry' in row ? row.entry.name : row.name;
}

/** What one partition has to say to a page. */
export interface ListingPart {
  /** In ordinal order of names. */
  readonly rows: readonly ListedRow[];
  /** The rows are complete up to this name, which may have none; undefined: up to the end. */
  readonly until: string | undefined;
}

/** A listing under way; the host brings it pages of the engine. */
export interface ListingScan {
  /** What to scan next; undefined: {@link finish}. */
  need(): Interval | undefined;
  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void;
  finish(): ListingPart;
}

/** Pages without anything to show (rows of deleted sequences) after which a listing stops for now. */
const MAX_PAGES = 20;

/** Rows of one family of one partition by name: those of the engine, under those that memory holds ahead of it. */
export class TableListing<S> implements ListingScan {
  private readonly query: ListingQuery;
  private readonly format: RowFormat<S>;
  private readonly bucket: number;
  private readonly show: (name: string, state: S) => ListedRow | undefined;
  private readonly rows = new Map<string, ListedRow[]>();
  /** Names that memory knows better than the engine. */
  private readonly known = new Set<string>();
  private position: string | undefined;
  private atEnd = false;
  private pages = 0;

  constructor(query: ListingQuery, table: RowTable<S>, show: (name: string, state: S) => ListedRow | undefined) {
    this.query = query;
    this.format = table.format;
    this.bucket = table.bucket;
    this.show = show;
    this.position = query.after;
    for (const row of table.unflushed()) {
      if (this.known.has(row.key) || !this.covers(row.key)) continue;
      this.known.add(row.key);
      this.add(row.key, show(row.key, row.state as S));
    }
  }

  /** A row that is in no engine. */
  add(name: string, row: ListedRow | undefined): void {
    if (row === undefined || !this.covers(name)) return;
    const rows = this.rows.get(name);
    if (rows === undefined) this.rows.set(name, [row]);
    else rows.push(row);
  }

  private covers(name: string): boolean {
    const { prefix, after } = this.query;
    return name.startsWith(prefix) && (after === undefined || name > after);
  }

  need(): Interval | undefined {
    const enough = this.countUpTo(this.position) >= this.query.limit;
    if (this.atEnd || this.pages >= MAX_PAGES || (this.pages > 0 && enough)) return undefined;
    return nameInterval(this.format.family, this.bucket, this.query.prefix, this.position);
  }

  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void {
    this.pages++;
    for (const { key, value } of rows) {
      const name = nameIn(key);
      this.position = name;
      if (!this.known.has(name)) this.add(name, this.show(name, this.format.decode(value)));
    }
    if (!more) this.atEnd = true;
  }

  private countUpTo(name: string | undefined): number {
    let count = 0;
    for (const listed of this.rows.keys()) if (name !== undefined && listed <= name) count++;
    return count;
  }

  finish(): ListingPart {
    const complete = this.atEnd ? undefined : this.position;
    const names = [...this.rows.keys()]
      .filter(name => this.atEnd || (complete !== undefined && name <= complete))
      .sort(compareOrdinal);
    const shown = names.slice(0, this.query.limit);
    const rows = shown.flatMap(name => this.rows.get(name) ?? []);
    return { rows, until: shown.length < names.length ? shown.at(-1) : complete };
  }
}
