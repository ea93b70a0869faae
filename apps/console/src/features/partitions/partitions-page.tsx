import { TextInput } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { Page } from '../../app/page.tsx';
import type { PartitionsSearch } from '../../app/search.ts';
import { plural } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import type { PartitionRow } from '../../protocol/messages.ts';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { hasProblem } from '../map/cell-model.ts';
import { matchesText, sorted } from './columns.ts';
import { PartitionsTable } from './partitions-table.tsx';

const route = getRouteApi('/partitions');

export function PartitionsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const feed = useFeed('partitions');
  const rows = useRows(feed);
  const nodes = useRows(useFeed('nodes'));
  const phase = usePhase(feed);
  const nameOf = (id: number) => nodes.find(n => n.nodeId === id)?.name ?? `node ${id}`;
  const matching = rows.filter(r => matchesText(r, search.q ?? '', nameOf) && (search.problems !== true || hasProblem(r)));
  const order = useStableOrder(matching, search.sort, search.dir === 'desc');
  const set = (change: { [K in keyof PartitionsSearch]?: PartitionsSearch[K] | undefined }, replace = false) =>
    void navigate({
      search: old => Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, v]) => v)) as PartitionsSearch,
      replace,
    });
  const sortBy = (column: string) => {
    const again = search.sort === column;
    set({ sort: column, dir: again && search.dir !== 'desc' ? 'desc' : undefined });
  };
  return (
    <Page
      title="Partitions"
      tools={
        <>
          <TextInput
            size="xs"
            aria-label="Filter partitions"
            placeholder="id, kind, leader, flag  /"
            data-page-filter
            value={search.q ?? ''}
            onChange={event => set({ q: event.currentTarget.value || undefined }, true)}
          />
          <button
            type="button"
            className="text-button"
            aria-pressed={search.problems === true}
            onClick={() => set({ problems: search.problems === true ? undefined : true })}
          >
            Problems only
          </button>
        </>
      }
    >
      <Panel
        title={plural(matching.length, 'partition')}
        aside={
          order.moved > 0 && (
            <button type="button" className="text-button" onClick={order.apply}>
              {order.moved} moved · apply order
            </button>
          )
        }
      >
        {phase === 'loading' ? (
          <Waiting height={320} what="the partitions" />
        ) : matching.length === 0 ? (
          <p className="note">
            {rows.length === 0
              ? 'This node hosts no partition yet and knows of none.'
              : `Nothing matches. ${plural(rows.length, 'partition')} in all.`}{' '}
            {rows.length > 0 && (
              <button type="button" className="text-button" onClick={() => void navigate({ search: {} })}>
                Clear filter
              </button>
            )}
          </p>
        ) : (
          <PartitionsTable rows={order.rows} sort={search.sort} descending={search.dir === 'desc'} onSort={sortBy} />
        )}
      </Panel>
    </Page>
  );
}

/** Rows keep the order they had when the view opened or was sorted; what belongs elsewhere now is counted (console §4.5, C5). */
function useStableOrder(rows: readonly PartitionRow[], sort: string | undefined, descending: boolean) {
  const wanted = sorted(rows, sort, descending).map(r => r.partitionId);
  const basis = `${sort} ${descending}`;
  const [kept, setKept] = useState({ basis, ids: wanted });
  if (kept.basis !== basis || (kept.ids.length === 0 && wanted.length > 0)) setKept({ basis, ids: wanted });
  const byId = new Map(rows.map(r => [r.partitionId, r]));
  const known = kept.ids.filter(id => byId.has(id));
  const fresh = wanted.filter(id => !kept.ids.includes(id));
  const shown = [...known, ...fresh];
  return {
    rows: shown.map(id => byId.get(id)).filter(row => row !== undefined),
    moved: shown.filter((id, i) => wanted[i] !== id).length,
    apply: () => setKept({ basis, ids: wanted }),
  };
}
