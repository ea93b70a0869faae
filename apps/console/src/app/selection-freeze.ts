import { useEffect } from 'react';
import { useLive } from '../live/use-live.ts';

/** The page stands still while text on it is selected: what one is about to copy does not change meanwhile (console §4.5). */
export function useSelectionFreeze(): void {
  const client = useLive();
  useEffect(() => {
    const look = () => client.setHeld(isSelecting(document.getSelection()));
    document.addEventListener('selectionchange', look);
    return () => document.removeEventListener('selectionchange', look);
  }, [client]);
}

/** Text of the page and not of an input, which is nobody's but the user's anyway. */
function isSelecting(selection: Selection | null): boolean {
  if (selection === null || selection.isCollapsed || selection.toString() === '') return false;
  const { anchorNode } = selection;
  const element = anchorNode instanceof Element ? anchorNode : anchorNode?.parentElement;
  return element?.closest('#main') != null && element.closest('textarea, input') === null;
}
