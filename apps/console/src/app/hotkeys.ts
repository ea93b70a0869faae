import { spotlight } from '@mantine/spotlight';
import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useLive } from '../live/use-live.ts';
import { copyText } from '../ui/copy-text.ts';
import { PAGES } from './pages.ts';
import { singleKeysOn } from './preferences.ts';

const CHORD_MS = 1_200;

function isEditable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Single-letter keys of console §9.2: `g` and a page's letter, `f` freeze, `/` the page's filter, `m` mark, `j` `k` rows, `[` `]` pages, `y` copy a name, `?` help. */
export function useHotkeys(showHelp: () => void): void {
  const navigate = useNavigate();
  const client = useLive();
  useEffect(() => {
    let chordAt = Number.NEGATIVE_INFINITY;
    const onKey = (event: KeyboardEvent) => {
      // Not the palette's own shortcut: its code may still be on the way when the key is pressed.
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        spotlight.open();
        return;
      }
      if (!singleKeysOn() || event.ctrlKey || event.metaKey || event.altKey || isEditable(event.target)) return;
      const chord = performance.now() - chordAt < CHORD_MS;
      chordAt = Number.NEGATIVE_INFINITY;
      const page = PAGES.find(p => p.key === event.key);
      if (chord && page !== undefined) void navigate({ to: page.to });
      else if (event.key === 'g') chordAt = performance.now();
      else if (event.key === 'f') client.setFrozen(!client.frozen);
      else if (event.key === 'm') client.markedAtMs === undefined ? client.mark() : client.unmark();
      else if (event.key === 'y') copyName();
      else if (event.key === '?') showHelp();
      else if (event.key === '/') focusFilter(event);
      else if (event.key === 'c') void copyText(window.location.href);
      else if (event.key === '[' || event.key === ']') turnPage(event.key);
      else if (event.key === 'j' || event.key === 'k') moveRow(event, event.key === 'j' ? 1 : -1);
      else if (isArrow(event.key) && isRow(document.activeElement)) moveRow(event, event.key === 'ArrowDown' ? 1 : -1);
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

/** The row with the focus, else what the detail of the page is about. */
function copyName(): void {
  const row = document.activeElement?.matches(ROW) ? document.activeElement : null;
  const name = row?.getAttribute('title') ?? document.querySelector('.detail > header h2')?.textContent;
  if (name != null) void copyText(name);
}

function turnPage(key: string): void {
  document.querySelector<HTMLButtonElement>(`[data-page-key="${key}"]`)?.click();
}

const ROW = '.main [data-row]';

function isArrow(key: string): boolean {
  return key === 'ArrowDown' || key === 'ArrowUp';
}

function isRow(element: Element | null): boolean {
  return element?.matches(ROW) ?? false;
}

/** The focus goes from row to row of one list; Enter opens, as on any link. */
function moveRow(event: KeyboardEvent, step: 1 | -1): void {
  const active = document.activeElement;
  const list = isRow(active) ? active?.closest('table, .tree') : document.querySelector('.main table:has([data-row])');
  const rows = [...(list?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
  const at = rows.indexOf(active as HTMLElement);
  const next = at < 0 ? rows[step === 1 ? 0 : rows.length - 1] : rows[at + step];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}
