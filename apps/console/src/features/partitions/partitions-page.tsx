import { TextInput } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { Page } from '../../app/page.tsx';
import type { PartitionsSearch } from '../../app/search.ts';
import { plural } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import { ApplyOrder, useStableOrder } from '../../ui/ordered-rows.tsx';
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
  const byId = new Map(matching.map(r => [String(r.partitionId), r]));
  const wanted = sorted(matching, search.sort, search.dir === 'desc').map(r => String(r.partitionId));
  const order = useStableOrder(wanted, `${search.sort} ${search.dir}`);
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
        title={phase === 'loading' ? 'Partitions' : plural(matching.length, 'partition')}
        aside={<ApplyOrder order={order} />}
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
          <PartitionsTable
            rows={order.ids.map(id => byId.get(id)).filter(row => row !== undefined)}
            sort={search.sort}
            descending={search.dir === 'desc'}
            onSort={sortBy}
          />
        )}
      </Panel>
    </Page>
  );
}
