import { useSyncExternalStore } from 'react';
import type { TimeZoneChoice } from '../format/time.ts';
import { Emitter } from '../live/emitter.ts';

/** What belongs to the person and not to the view, and so is kept in the browser and never in the URL (console §10). */
export interface Preferences {
  readonly density: 'compact' | 'comfortable';
  readonly zone: TimeZoneChoice;
  readonly singleKeys: boolean;
  readonly motion: 'system' | 'reduced';
}

const KEY = 'kahuna-console-preferences';
const DEFAULTS: Preferences = { density: 'compact', zone: 'local', singleKeys: true, motion: 'system' };
const changed = new Emitter();
let current: Preferences | undefined;

function read(): Preferences {
  if (current !== undefined) return current;
  current = DEFAULTS;
  try {
    const kept = JSON.parse(window.localStorage.getItem(KEY) ?? '{}') as Partial<Preferences>;
    current = {
      density: kept.density === 'comfortable' ? 'comfortable' : 'compact',
      zone: kept.zone === 'utc' ? 'utc' : 'local',
      singleKeys: kept.singleKeys !== false,
      motion: kept.motion === 'reduced' ? 'reduced' : 'system',
    };
  } catch {
    // Storage is forbidden or holds something else: the defaults serve.
  }
  return current;
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(changed.subscribe, read);
}

/** Density and motion are attributes of the page that the style sheets read. */
export function applyPreferences(): void {
  const { density, motion } = read();
  document.documentElement.setAttribute('data-density', density);
  document.documentElement.setAttribute('data-motion', motion);
}

export function singleKeysOn(): boolean {
  return read().singleKeys;
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...read(), ...change };
  try {
    window.localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Private windows refuse storage: the choice holds until the tab closes.
  }
  applyPreferences();
  changed.emit();
}
