import { SegmentedControl, TextInput } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { Page } from '../../app/page.tsx';
import type { EventsSearch } from '../../app/search.ts';
import { plural } from '../../format/numbers.ts';
import { useConnection, useFeed, usePhase, useRows } from '../../live/use-live.ts';
import type { EventItem } from '../../protocol/messages.ts';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { EventLines } from './event-list.tsx';

const route = getRouteApi('/events');
/** Rows drawn before somebody asks for more. */
const FIRST_ROWS = 200;

interface EventPage {
  readonly items: readonly EventItem[];
  readonly more: boolean;
}

async function readOlder(before: string): Promise<EventPage> {
  const answer = await fetch(`/v1/console/events?before=${before}&count=200`);
  if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
  return (await answer.json()) as EventPage;
}

/** The timeline this node recorded: live at the top, older ones on request (console §6.12). */
export function EventsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { welcome } = useConnection();
  const feed = useFeed('events');
  const live = useRows(feed);
  const phase = usePhase(feed);
  const [rows, setRows] = useState(FIRST_ROWS);
  const oldest = live[0]?.seq;
  const older = useInfiniteQuery({
    queryKey: ['events', welcome?.session, oldest],
    queryFn: ({ pageParam }) => readOlder(pageParam),
    initialPageParam: oldest ?? '1',
    getNextPageParam: page => (page.more ? page.items[0]?.seq : undefined),
    enabled: false,
  });
  const known = [...(older.data?.pages ?? []).flatMap(page => page.items).sort((a, b) => Number(a.seq) - Number(b.seq)), ...live];
  const wanted = (search.q ?? '').toLowerCase();
  const shown = known
    .filter(e => search.severity === undefined || e.severity === search.severity)
    .filter(e => wanted === '' || `${e.kind} ${e.subject} ${e.text}`.toLowerCase().includes(wanted))
    .reverse();
  const set = (change: { [K in keyof EventsSearch]?: EventsSearch[K] | undefined }, replace = false) =>
    void navigate({
      search: old => Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, v]) => v)) as EventsSearch,
      replace,
    });
  return (
    <Page
      title="Events"
      tools={
        <>
          <TextInput
            size="xs"
            aria-label="Filter events"
            placeholder="kind, subject, text  /"
            data-page-filter
            value={search.q ?? ''}
            onChange={event => set({ q: event.currentTarget.value || undefined }, true)}
          />
          <SegmentedControl
            aria-label="Severity"
            value={search.severity ?? 'all'}
            onChange={value => set({ severity: value === 'warning' || value === 'critical' ? value : undefined })}
            data={[
              { value: 'all', label: 'All' },
              { value: 'warning', label: 'Warnings' },
              { value: 'critical', label: 'Critical' },
            ]}
          />
        </>
      }
    >
      <Panel
        title={phase === 'loading' ? 'Events' : plural(shown.length, 'event')}
        aside={<span className="muted small">recorded by {welcome?.node.name ?? 'this node'}</span>}
      >
        {phase === 'loading' ? (
          <Waiting height={320} what="the events" />
        ) : shown.length === 0 ? (
          <p className="note">
            {known.length === 0
              ? 'Nothing has been recorded since this node started.'
              : `Nothing matches. ${plural(known.length, 'other event')}.`}
          </p>
        ) : (
          <EventLines events={shown.slice(0, rows)} />
        )}
        <div className="events-foot">
          {shown.length > rows ? (
            <button type="button" className="text-button" onClick={() => setRows(rows + FIRST_ROWS)}>
              Show {Math.min(FIRST_ROWS, shown.length - rows)} more
            </button>
          ) : (
            <button
              type="button"
              className="text-button"
              disabled={older.isFetching || oldest === undefined || (older.isSuccess && !older.hasNextPage)}
              onClick={() => void (older.isSuccess ? older.fetchNextPage() : older.refetch())}
            >
              {older.isSuccess && !older.hasNextPage ? 'This is the beginning of the record' : 'Read older events'}
            </button>
          )}
          {older.isError && <span className="muted"> {older.error.message}</span>}
        </div>
      </Panel>
    </Page>
  );
}
