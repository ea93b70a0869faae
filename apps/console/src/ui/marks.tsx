import type { JSX } from 'react';

/** Shapes that always go with a colour of meaning (console §12.3), so that no state is told by colour alone (C8). */
export type Tone = 'good' | 'info' | 'warning' | 'critical' | 'moving' | 'unknown';

const SHAPES: Readonly<Record<Tone, JSX.Element>> = {
  good: <circle cx="6" cy="6" r="4.2" fill="currentColor" />,
  info: <path d="M6 1.4 10.6 6 6 10.6 1.4 6Z" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  warning: <path d="M6 0.8 11.2 6 6 11.2 0.8 6Z" fill="currentColor" />,
  critical: <path d="M6 0.8 11.6 10.8H0.4Z" fill="currentColor" />,
  moving: (
    <path
      d="M10.4 5.2A4.6 4.6 0 1 0 10 8.4M10.8 1.8v3.6H7.2"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
    />
  ),
  unknown: (
    <g fill="none" stroke="currentColor" strokeWidth="1.3">
      <circle cx="6" cy="6" r="4.4" strokeDasharray="2 1.6" />
      <path d="M3.5 8.5 8.5 3.5" />
    </g>
  ),
};

/** `label` is read aloud; without one the text beside the mark says it. */
export function Mark({ tone, label, size = 12 }: { tone: Tone; label?: string; size?: number }) {
  const drawing = { viewBox: '0 0 12 12', width: size, height: size, style: { color: `var(--${tone})` } };
  if (label === undefined) {
    return (
      <svg className="mark" {...drawing} aria-hidden="true">
        {SHAPES[tone]}
      </svg>
    );
  }
  return (
    <svg className="mark" {...drawing} role="img" aria-label={label}>
      {SHAPES[tone]}
    </svg>
  );
}
