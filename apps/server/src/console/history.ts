import { type Hlc, isZeroHlc } from '@kahuna/base';
import type { DurabilityName, HistoryPage, RevisionItem } from '@kahuna/console/protocol';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import { toBase64 } from './readable.ts';
import { type ConsoleReads, refusalText, VALUE_HEAD_BYTES } from './reads.ts';

export const HISTORY_ROWS = 50;

/** The newest timestamp before this one (order: l, c, n). */
function justBefore(t: Hlc): Hlc {
  if (t.n > 0) return { ...t, n: t.n - 1 };
  if (t.c > 0) return { l: t.l, c: t.c - 1, n: 0x7fff_ffff };
  return { l: t.l - 1, c: 0xffff_ffff, n: 0x7fff_ffff };
}

/** Where an older page begins: before this revision, which was written at this instant if that is known. */
export interface HistoryCursor {
  readonly revision: number;
  readonly at: Hlc | undefined;
}

/** `17` or `17.l.c.n`; undefined when it is neither. */
export function parseCursor(text: string): HistoryCursor | undefined {
  const numbers = /^\d{1,15}(\.\d{1,15}){0,3}$/.test(text) ? text.split('.').map(Number) : [];
  const [revision, l, c, n] = numbers;
  if (revision === undefined || (numbers.length !== 1 && numbers.length !== 4)) return undefined;
  return { revision, at: l === undefined || c === undefined || n === undefined ? undefined : { l, c, n } };
}

/**
 * Revisions of a key, newest first (console §17). A read at a revision tells its value and no time, a read as of an instant tells the
 * time of the version it lands on: so the times are walked back from version to version, as far as that goes. Where a deletion or
 * an expiry lies between two versions the older one's time is not known, and is not guessed.
 */
export async function readHistory(
  reads: ConsoleReads,
  key: string,
  durability: DurabilityName,
  cursor: HistoryCursor | undefined,
  count: number,
): Promise<HistoryPage | { readonly problem: string }> {
  const head = await reads.get(key, { durability });
  if (head.type !== ResponseType.Get && head.type !== ResponseType.DoesNotExist) return { problem: refusalText(head.type) };
  const from = Math.min(head.revision, cursor === undefined ? head.revision : cursor.revision - 1);
  const items: RevisionItem[] = [];
  let walk = await firstStep(reads, key, durability, head, cursor);
  let known: Hlc | undefined;
  for (let revision = from; revision >= 0 && items.length < count; revision--) {
    const found = await reads.getAt(key, { durability }, revision);
    if (found.type !== ResponseType.Get && found.type !== ResponseType.DoesNotExist) return { problem: refusalText(found.type) };
    known = walk?.revision === revision ? walk.lastModified : undefined;
    items.push(item(revision, found, known?.l ?? null));
    walk = known === undefined ? undefined : await landing(reads, key, durability, justBefore(known));
  }
  const last = from - items.length + 1;
  if (items.length < count || last <= 0) return { items, next: null };
  return { items, next: known === undefined ? String(last) : `${last}.${known.l}.${known.c}.${known.n}` };
}

/** The version the first item is, with its time, if a read as of some instant lands on it. */
function firstStep(
  reads: ConsoleReads,
  key: string,
  durability: DurabilityName,
  head: OperationResult,
  cursor: HistoryCursor | undefined,
): Promise<OperationResult | undefined> {
  if (cursor !== undefined) {
    return cursor.at === undefined ? Promise.resolve(undefined) : landing(reads, key, durability, justBefore(cursor.at));
  }
  // An extension moves the head's time but is no version; the read as of it tells when the version itself was written.
  return head.type === ResponseType.Get ? landing(reads, key, durability, head.lastModified) : Promise.resolve(undefined);
}

async function landing(
  reads: ConsoleReads,
  key: string,
  durability: DurabilityName,
  at: Hlc,
): Promise<OperationResult | undefined> {
  const found = await reads.getAt(key, { durability }, -1, at);
  return found.type === ResponseType.Get && !isZeroHlc(found.lastModified) ? found : undefined;
}

function item(revision: number, found: OperationResult, atMs: number | null): RevisionItem {
  const kept = found.type === ResponseType.Get;
  return {
    revision: String(revision),
    atMs,
    kept,
    valueB64: found.value === null ? null : toBase64(found.value.subarray(0, VALUE_HEAD_BYTES)),
    bytes: found.value?.length ?? null,
    truncated: (found.value?.length ?? 0) > VALUE_HEAD_BYTES,
  };
}
