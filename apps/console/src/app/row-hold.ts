import { useEffect } from 'react';
import type { LiveClient } from '../live/live-client.ts';
import { useLive } from '../live/use-live.ts';

/** What a click may be meant for, and what would take its place if rows came or went. */
const ROW = '#main :is(tbody tr, li, .tree-row)';

/** Rows do not jump under the pointer: while it is on one, rows that come, go or move wait until it has left (console C5). */
export function useRowHold(): void {
  const client = useLive();
  useEffect(() => holdUnderPointer(client, document), [client]);
}

/** Returns the end. */
export function holdUnderPointer(client: Pick<LiveClient, 'holdRows'>, page: Document): () => void {
  let release: (() => void) | undefined;
  const hold = (isOnRow: boolean): void => {
    if (isOnRow) release ??= client.holdRows();
    else {
      release?.();
      release = undefined;
    }
  };
  const isOnRow = ({ target }: Event): boolean => target instanceof Element && target.closest(ROW) !== null;
  // Only a pointer that was moved points at something; where a page comes to lie under a resting one, nobody meant a row.
  const onMove = (event: PointerEvent): void => {
    if (event.pointerType !== 'touch') hold(isOnRow(event));
  };
  const onOver = (event: Event): void => {
    if (!isOnRow(event)) hold(false);
  };
  const onLeave = (): void => hold(false);
  page.addEventListener('pointermove', onMove);
  page.addEventListener('pointerover', onOver);
  page.documentElement.addEventListener('pointerleave', onLeave);
  return () => {
    page.removeEventListener('pointermove', onMove);
    page.removeEventListener('pointerover', onOver);
    page.documentElement.removeEventListener('pointerleave', onLeave);
    hold(false);
  };
}
