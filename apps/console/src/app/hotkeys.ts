import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useLive } from '../live/use-live.ts';
import { PAGES } from './pages.ts';
import { singleKeysOn } from './preferences.ts';

const CHORD_MS = 1_200;

function isEditable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Single-letter keys of console §9.2: `g` and a page's letter, `f` freeze, `/` the page's filter, `?` help. */
export function useHotkeys(showHelp: () => void): void {
  const navigate = useNavigate();
  const client = useLive();
  useEffect(() => {
    let chordAt = Number.NEGATIVE_INFINITY;
    const onKey = (event: KeyboardEvent) => {
      if (!singleKeysOn() || event.ctrlKey || event.metaKey || event.altKey || isEditable(event.target)) return;
      const chord = performance.now() - chordAt < CHORD_MS;
      chordAt = Number.NEGATIVE_INFINITY;
      const page = PAGES.find(p => p.key === event.key);
      if (chord && page !== undefined) void navigate({ to: page.to });
      else if (event.key === 'g') chordAt = performance.now();
      else if (event.key === 'f') client.setFrozen(!client.frozen);
      else if (event.key === '?') showHelp();
      else if (event.key === '/') focusFilter(event);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate, client, showHelp]);
}

function focusFilter(event: KeyboardEvent): void {
  const filter = document.querySelector<HTMLInputElement>('[data-page-filter]');
  if (filter === null) return;
  event.preventDefault();
  filter.focus();
}
