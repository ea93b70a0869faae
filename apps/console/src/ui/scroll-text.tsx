import type { ReactNode } from 'react';

/** Text in a box that scrolls, and that the keyboard can therefore reach. */
export function ScrollText({ label, viewer, children }: { label: string; viewer?: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
    <section className="value-text" data-viewer={viewer} tabIndex={0} aria-label={label}>
      <pre>{children}</pre>
    </section>
  );
}
