import './locks.css';
import { SegmentedControl, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { getRouteApi, useParams } from '@tanstack/react-router';
import { Page } from '../../app/page.tsx';
import type { LocksSearch } from '../../app/search.ts';
import { pathToSubject, subjectToPath } from '../../app/subject.ts';
import { plural } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows, useWindow } from '../../live/use-live.ts';
import type { DurabilityName, WindowInfo } from '../../protocol/messages.ts';
import { ApplyOrder, useOrderedRows } from '../../ui/ordered-rows.tsx';
import { Pager } from '../../ui/pager.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { nextSort } from '../../ui/sort-header.tsx';
import { sortedOf } from '../../ui/sorted-of.ts';
import { Waiting } from '../../ui/waiting.tsx';
import { LockPanel } from './lock-panel.tsx';
import { LocksTable } from './locks-table.tsx';

const route = getRouteApi('/locks');
const ROWS = 200;
/** A list is asked for when the typing pauses, not for every letter. Milliseconds. */
const TYPING_PAUSE_MS = 250;
const DURABILITY = { p: 'persistent', e: 'ephemeral' } as const;
const STATES = { held: ['held'], free: ['expired', 'released'] } as const;

function filterOf({ d, state }: LocksSearch): Readonly<Record<string, readonly string[]>> | undefined {
  const filter = {
    ...(d === undefined ? {} : { durability: [DURABILITY[d]] }),
    ...(state === undefined ? {} : { state: STATES[state] }),
  };
  return Object.keys(filter).length === 0 ? undefined : filter;
}

/** Who owns what, until when, with which token (console §6.7). */
export function LocksPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { durability, _splat } = useParams({ strict: false });
  const resource = pathToSubject(_splat);
  const chosen =
    resource === undefined
      ? undefined
      : { resource, durability: (durability === 'ephemeral' ? 'ephemeral' : 'persistent') as DurabilityName };
  const filter = filterOf(search);
  const [prefix] = useDebouncedValue(search.q ?? '', TYPING_PAUSE_MS);
  const feed = useFeed('locks', {
    prefix,
    count: ROWS,
    ...(filter === undefined ? {} : { filter }),
    ...(search.from === undefined ? {} : { from: search.from }),
    ...(search.sort === undefined ? {} : { sort: search.sort, dir: search.dir ?? 'asc' }),
  });
  const order = useOrderedRows(
    useRows(feed),
    row => `${row.durability}/${row.resource}`,
    search.sort === undefined ? undefined : JSON.stringify(search),
  );
  const { rows } = order;
  const phase = usePhase(feed);
  const window = useWindow(feed);
  const filtered = (search.q ?? '') !== '' || filter !== undefined;
  const here =
    chosen === undefined
      ? ({ to: '/locks' } as const)
      : ({
          to: '/locks/$durability/$',
          params: { durability: chosen.durability, _splat: subjectToPath(chosen.resource) },
        } as const);
  const change = (to: Partial<Record<keyof LocksSearch, string | undefined>>, replace = false) => {
    const next = Object.entries({ ...search, from: undefined, ...to }).filter(([, value]) => value !== undefined);
    void navigate({ ...here, search: Object.fromEntries(next) as LocksSearch, replace });
  };
  return (
    <Page
      title="Locks"
      tools={
        <>
          <TextInput
            size="xs"
            className="find-in-page"
            aria-label="Locks whose name begins with"
            placeholder="name begins with  /"
            data-page-filter
            spellCheck={false}
            value={search.q ?? ''}
            onChange={event => change({ q: event.currentTarget.value || undefined }, true)}
          />
          <SegmentedControl
            aria-label="State"
            value={search.state ?? 'all'}
            onChange={value => change({ state: value === 'all' ? undefined : value })}
            data={[
              { value: 'all', label: 'All' },
              { value: 'held', label: 'Held' },
              { value: 'free', label: 'Free' },
            ]}
          />
          <SegmentedControl
            aria-label="Durability"
            value={search.d ?? 'both'}
            onChange={value => change({ d: value === 'both' ? undefined : value })}
            data={[
              { value: 'both', label: 'Both' },
              { value: 'p', label: 'Persistent' },
              { value: 'e', label: 'Ephemeral' },
            ]}
          />
        </>
      }
    >
      <div className="split named" data-detail={chosen !== undefined}>
        <Panel
          title={phase === 'ready' ? plural(rows.length, 'lock') : 'Locks'}
          className="named-list"
          aside={
            <>
              <span className="muted small">{orderText(search, window)}</span>
              <ApplyOrder order={order} />
            </>
          }
        >
          {phase === 'loading' ? (
            <Waiting height={320} what="the locks" />
          ) : (
            <>
              <ReadProblem window={window} hasRows={rows.length > 0} />
              {rows.length === 0 && window?.problem === null && (
                <Empty
                  filtered={filtered || search.from !== undefined}
                  onClear={() => void navigate({ to: '/locks', search: {} })}
                />
              )}
              {rows.length > 0 && (
                <LocksTable
                  rows={rows}
                  chosen={chosen}
                  sort={search.sort}
                  descending={search.dir === 'desc'}
                  onSort={id => change(nextSort(search, id))}
                />
              )}
              <Pager
                isFirst={search.from === undefined}
                next={window?.next ?? null}
                onFirst={() => change({})}
                onNext={from => change({ from })}
              />
            </>
          )}
        </Panel>
        {chosen !== undefined && (
          <LockPanel
            key={`${chosen.durability} ${chosen.resource}`}
            resource={chosen.resource}
            durability={chosen.durability}
            onClose={() => void navigate({ to: '/locks', search: old => old })}
          />
        )}
      </div>
    </Page>
  );
}

const SORT_TEXT: Readonly<Record<string, string>> = {
  expires: 'by time left',
  owner: 'by owner',
  token: 'by token',
  refused: 'by asks in vain',
  extends: 'by extensions noted',
};

function orderText({ sort }: LocksSearch, window: WindowInfo | undefined): string {
  if (sort === undefined) return 'in order of their names · whoever waits asks again, there is no queue';
  return `${SORT_TEXT[sort] ?? ''}${sortedOf(window)}`;
}

function Empty({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (!filtered) {
    return (
      <p className="note">
        No lock was ever acquired here. The first one: <code>kahuna-cli --lock jobs/nightly --expires 30000</code>
      </p>
    );
  }
  return (
    <p className="note">
      No lock matches.{' '}
      <button type="button" className="text-button" onClick={onClear}>
        Clear filter
      </button>
    </p>
  );
}
