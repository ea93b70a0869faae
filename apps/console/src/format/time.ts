import { UNKNOWN } from './numbers.ts';

export type TimeZoneChoice = 'local' | 'utc';

const pad = (n: number): string => String(n).padStart(2, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function parts(ms: number, zone: TimeZoneChoice) {
  const d = new Date(ms);
  return zone === 'utc'
    ? {
        year: d.getUTCFullYear(),
        month: d.getUTCMonth(),
        day: d.getUTCDate(),
        h: d.getUTCHours(),
        m: d.getUTCMinutes(),
        s: d.getUTCSeconds(),
      }
    : { year: d.getFullYear(), month: d.getMonth(), day: d.getDate(), h: d.getHours(), m: d.getMinutes(), s: d.getSeconds() };
}

/** `14:02:07` today, `Nov 20 14:02` before (console §8). */
export function instant(ms: number | null | undefined, nowMs: number, zone: TimeZoneChoice = 'local'): string {
  if (ms === null || ms === undefined) return UNKNOWN;
  const at = parts(ms, zone);
  const now = parts(nowMs, zone);
  const today = at.year === now.year && at.month === now.month && at.day === now.day;
  return today ? `${pad(at.h)}:${pad(at.m)}:${pad(at.s)}` : `${MONTHS[at.month]} ${at.day} ${pad(at.h)}:${pad(at.m)}`;
}

/** `14:02`, for the axis of a chart. */
export function timeOfDay(ms: number, zone: TimeZoneChoice = 'local'): string {
  const { h, m } = parts(ms, zone);
  return `${pad(h)}:${pad(m)}`;
}

/** ISO with zone, for the title of a shown instant. */
export function isoInstant(ms: number): string {
  return new Date(ms).toISOString();
}

/** `0.2 s`, `12 s`, `3 min 4 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return UNKNOWN;
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${(Math.floor(s * 10) / 10).toFixed(1)} s`;
  return wholeSeconds(s);
}

/** The same in whole seconds: for values that step once a second. */
export function ageText(ms: number): string {
  return wholeSeconds(Math.max(0, ms) / 1000);
}

function wholeSeconds(s: number): string {
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return two(Math.floor(s / 60), 'min', Math.floor(s % 60), 's');
  if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

function two(a: number, unitA: string, b: number, unitB: string): string {
  return b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`;
}
