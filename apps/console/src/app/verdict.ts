import type { Verdict } from '../protocol/messages.ts';
import type { Tone } from '../ui/marks.tsx';

export const VERDICT_TONE: Readonly<Record<Verdict, Tone>> = {
  healthy: 'good',
  attention: 'warning',
  degraded: 'warning',
  unavailable: 'critical',
  isolated: 'critical',
  unknown: 'unknown',
};

export const SEVERITY_TONE = { critical: 'critical', warning: 'warning', info: 'info' } as const;

const SHAPES: Readonly<Record<Tone, string>> = {
  good: '<circle cx="8" cy="8" r="6" fill="%23397a4f"/>',
  warning: '<path d="M8 1 15 8 8 15 1 8Z" fill="%23d08a1e"/>',
  critical: '<path d="M8 1 15.5 14.5H.5Z" fill="%23d32f3a"/>',
  info: '<path d="M8 1 15 8 8 15 1 8Z" fill="none" stroke="%231e52a0" stroke-width="2"/>',
  moving: '<circle cx="8" cy="8" r="6" fill="none" stroke="%238a4ec6" stroke-width="2"/>',
  unknown: '<circle cx="8" cy="8" r="6" fill="none" stroke="%236b7280" stroke-width="2" stroke-dasharray="3 2"/>',
};

/** The tab's icon shows the verdict's shape (console §12.6). */
export function showFavicon(tone: Tone): void {
  const link = document.getElementById('favicon');
  link?.setAttribute(
    'href',
    `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${SHAPES[tone]}</svg>`,
  );
}
