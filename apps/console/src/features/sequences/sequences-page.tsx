import './sequences.css';
import { TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconPlus } from '@tabler/icons-react';
import { getRouteApi, Link, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { Page } from '../../app/page.tsx';
import type { SequencesSearch } from '../../app/search.ts';
import { pathToSubject, subjectToPath } from '../../app/subject.ts';
import { integer, plural, rate } from '../../format/numbers.ts';
import { isGone } from '../../live/feed-store.ts';
import { useFeed, useFreshness, useMarked, useMay, usePhase, useRows, useWindow } from '../../live/use-live.ts';
import type { SequenceRow, WindowInfo } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Delta } from '../../ui/delta.tsx';
import { KeyName } from '../../ui/key-name.tsx';
import { ApplyOrder, useOrderedRows } from '../../ui/ordered-rows.tsx';
import { Pager } from '../../ui/pager.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { nextSort, SortHeader } from '../../ui/sort-header.tsx';
import { sortedOf } from '../../ui/sorted-of.ts';
import { useFlash } from '../../ui/use-flash.ts';
import { Waiting } from '../../ui/waiting.tsx';
import { CreateSequence } from './sequence-forms.tsx';
import { SequencePanel } from './sequence-panel.tsx';

const route = getRouteApi('/sequences');
const ROWS = 200;
/** A list is asked for when the typing pauses, not for every letter. Milliseconds. */
const TYPING_PAUSE_MS = 250;

/** Marks, rates, and what is left (console §6.8). */
export function SequencesPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { _splat } = useParams({ strict: false });
  const chosen = pathToSubject(_splat);
  const mayCreate = useMay('editor');
  const [creating, setCreating] = useState(false);
  const [prefix] = useDebouncedValue(search.q ?? '', TYPING_PAUSE_MS);
  const feed = useFeed('sequences', {
    prefix,
    count: ROWS,
    ...(search.from === undefined ? {} : { from: search.from }),
    ...(search.sort === undefined ? {} : { sort: search.sort, dir: search.dir ?? 'asc' }),
  });
  const order = useOrderedRows(useRows(feed), row => row.name, search.sort === undefined ? undefined : JSON.stringify(search));
  const { rows } = order;
  const marked = useMarked(feed);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  const here =
    chosen === undefined
      ? ({ to: '/sequences' } as const)
      : ({ to: '/sequences/$', params: { _splat: subjectToPath(chosen) } } as const);
  const change = (to: Partial<Record<keyof SequencesSearch, string | undefined>>, replace = false) => {
    const next = Object.entries({ ...search, from: undefined, ...to }).filter(([, value]) => value !== undefined);
    void navigate({ ...here, search: Object.fromEntries(next) as SequencesSearch, replace });
  };
  return (
    <Page
      title="Sequences"
      tools={
        <>
          <TextInput
            size="xs"
            className="find-in-page"
            aria-label="Sequences whose name begins with"
            placeholder="name begins with  /"
            data-page-filter
            spellCheck={false}
            value={search.q ?? ''}
            onChange={event => change({ q: event.currentTarget.value || undefined }, true)}
          />
          <button type="button" className="text-button" disabled={!mayCreate} onClick={() => setCreating(true)}>
            <IconPlus size={14} aria-hidden /> New sequence
          </button>
        </>
      }
    >
      <div className="split named" data-detail={chosen !== undefined}>
        <Panel
          title={phase === 'ready' ? plural(rows.length, 'sequence') : 'Sequences'}
          className="named-list"
          aside={
            <>
              <span className="muted small">{orderText(search, window)}</span>
              <ApplyOrder order={order} />
            </>
          }
        >
          {phase === 'loading' ? (
            <Waiting height={320} what="the sequences" />
          ) : (
            <>
              <ReadProblem window={window} hasRows={rows.length > 0} />
              {rows.length === 0 && window?.problem === null && (
                <Empty
                  filtered={search.q !== undefined || search.from !== undefined}
                  onClear={() => void navigate({ to: '/sequences', search: {} })}
                />
              )}
              {rows.length > 0 && (
                <SequencesTable
                  rows={rows}
                  marked={marked}
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
          <SequencePanel key={chosen} name={chosen} onClose={() => void navigate({ to: '/sequences', search: old => old })} />
        )}
      </div>
      {creating && (
        <CreateSequence
          onClose={name => {
            setCreating(false);
            if (name !== undefined) {
              void navigate({ to: '/sequences/$', params: { _splat: subjectToPath(name) }, search: old => old });
            }
          }}
        />
      )}
    </Page>
  );
}

const SORT_TEXT: Readonly<Record<string, string>> = {
  mark: 'by mark',
  rate: 'by rate',
  remaining: 'by values left',
  updated: 'by their last change',
};

function orderText({ sort }: SequencesSearch, window: WindowInfo | undefined): string {
  return sort === undefined ? 'mark: no value above it was handed out' : `${SORT_TEXT[sort] ?? ''}${sortedOf(window)}`;
}

function Empty({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (!filtered) return <p className="note">There is no sequence yet. Create the first one with the button above.</p>;
  return (
    <p className="note">
      No sequence matches.{' '}
      <button type="button" className="text-button" onClick={onClear}>
        Clear filter
      </button>
    </p>
  );
}

interface SequencesTableProps {
  readonly rows: readonly SequenceRow[];
  readonly marked: ReadonlyMap<string, SequenceRow> | undefined;
  readonly chosen: string | undefined;
  readonly sort: string | undefined;
  readonly descending: boolean;
  readonly onSort: (id: string) => void;
}

function SequencesTable({ rows, marked, chosen, ...sorting }: SequencesTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
    <section className="scroll-box" tabIndex={0} aria-label="List of sequences">
      <table className="grid" aria-label="Sequences">
        <thead>
          <tr>
            <th scope="col">name</th>
            <SortHeader id="mark" title="mark" className="num" {...sorting} />
            <th scope="col" className="num opt2">
              increment
            </th>
            <th scope="col" className="num opt2">
              block
            </th>
            <SortHeader id="rate" title="reserved" className="num" {...sorting} />
            <th scope="col" className="num opt">
              maximum
            </th>
            <SortHeader id="remaining" title="remaining" className="num opt" {...sorting} />
            <SortHeader id="updated" title="updated" className="num opt2" {...sorting} />
            <th scope="col" className="num opt2">
              partition
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <SequenceLine key={row.name} row={row} then={marked?.get(row.name)} chosen={row.name === chosen} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface SequenceLineProps {
  readonly row: SequenceRow;
  /** As it was when the user marked the values. */
  readonly then: SequenceRow | undefined;
  readonly chosen: boolean;
}

function SequenceLine({ row, then, chosen }: SequenceLineProps) {
  const freshness = useFreshness(row.source);
  const flash = useFlash(`${row.incarnation} ${row.currentValue}`);
  return (
    <tr
      data-flash={flash}
      data-stale={freshness.level}
      data-gone={isGone(row) || undefined}
      aria-selected={chosen}
      aria-label={`sequence ${row.name}`}
    >
      <th scope="row">
        <Link
          to="/sequences/$"
          params={{ _splat: subjectToPath(row.name) }}
          search={old => old}
          data-row
          aria-current={chosen ? 'true' : undefined}
          title={row.name}
        >
          <KeyName name={row.name} />
        </Link>
      </th>
      <td className="num">
        <Delta now={row.currentValue} then={then?.currentValue} format={integer} />
        {integer(row.currentValue)}
      </td>
      <td className="num opt2">{integer(row.increment)}</td>
      <td className="num opt2">{row.blockSize === null ? <span className="muted">default</span> : integer(row.blockSize)}</td>
      <td className="num">{rate(row.reservedPerSec)}</td>
      <td className="num opt">{row.maxValue === null ? <span className="muted">none</span> : integer(row.maxValue)}</td>
      <td className="num opt">{row.remaining === null ? '–' : integer(row.remaining)}</td>
      <td className="num opt2">
        <Instant ms={row.updatedMs} />
      </td>
      <td className="num opt2">{row.partitionId === null ? '–' : `P${row.partitionId}`}</td>
    </tr>
  );
}
