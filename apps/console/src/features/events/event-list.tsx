import './events.css';
import { SEVERITY_TONE } from '../../app/verdict.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import type { EventItem, TopicParams } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Waiting } from '../../ui/waiting.tsx';

/** Newest first; nothing about the subject is told in words and not by an empty box. */
export function EventList({ filter, limit }: { filter: NonNullable<TopicParams['filter']>; limit: number }) {
  const feed = useFeed('events', { filter });
  const events = useRows(feed);
  if (usePhase(feed) === 'loading') return <Waiting height={80} what="the events" />;
  if (events.length === 0) return <p className="note">This node has recorded nothing about it since it started.</p>;
  return <EventLines events={[...events].reverse().slice(0, limit)} />;
}

export function EventLines({ events }: { events: readonly EventItem[] }) {
  return (
    <ol className="events" aria-label="Events">
      {events.map(event => (
        <li key={event.seq}>
          <span className="muted">
            <Instant ms={event.atMs} />
          </span>
          <Mark tone={SEVERITY_TONE[event.severity]} label={event.severity} size={10} />
          <span className="muted kind">{event.kind}</span>
          <span className="mono about">{event.subject}</span>
          <span>{event.text}</span>
        </li>
      ))}
    </ol>
  );
}
