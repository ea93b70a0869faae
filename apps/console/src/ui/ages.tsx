import { IconClock } from '@tabler/icons-react';
import { usePreferences } from '../app/preferences.ts';
import { ageText, instant, isoInstant } from '../format/time.ts';
import { type SourceFreshness, useNow } from '../live/use-live.ts';

/** `14:02:07`, with the full instant on hover. */
export function Instant({ ms }: { ms: number | null }) {
  const now = useNow();
  const { zone } = usePreferences();
  if (ms === null) return <>–</>;
  return (
    <time dateTime={isoInstant(ms)} title={isoInstant(ms)} className="nowrap">
      {instant(ms, now, zone)}
    </time>
  );
}

/** How long ago, stepping every second. */
export function Since({ ms }: { ms: number }) {
  const now = useNow();
  return (
    <time dateTime={isoInstant(ms)} title={isoInstant(ms)} className="nowrap">
      {ageText(now - ms)}
    </time>
  );
}

/** The clock and age beside values of a source that went quiet; nothing while it is fresh. */
export function StaleNote({ freshness }: { freshness: SourceFreshness }) {
  if (freshness.level === 'fresh') return null;
  const text = freshness.ageMs === null ? 'never reported' : `stale ${ageText(freshness.ageMs)}`;
  return (
    <span className="stale-note nowrap muted">
      <IconClock size={12} aria-hidden style={{ verticalAlign: '-2px', marginRight: 3 }} />
      {text}
    </span>
  );
}
