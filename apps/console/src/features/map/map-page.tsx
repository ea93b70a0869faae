import './map.css';
import { SegmentedControl } from '@mantine/core';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { Page } from '../../app/page.tsx';
import { COLOURS, type MapColour, type MapSearch } from '../../app/search.ts';
import { plural } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { PartitionsTable } from '../partitions/partitions-table.tsx';
import { groupsOf, hasProblem } from './cell-model.ts';
import { Legend } from './legend.tsx';
import { PlacementGrid } from './placement-grid.tsx';

const route = getRouteApi('/map');

const COLOUR_LABELS: Readonly<Record<MapColour, string>> = { role: 'Role', leader: 'Leader', load: 'Load', lag: 'Lag' };

/** Where every partition, replica and leader is (console §6.2). */
export function MapPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const set = (change: { [K in keyof MapSearch]?: MapSearch[K] | undefined }) =>
    void navigate({ search: old => Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, v]) => v)) as MapSearch });
  const view = search.view ?? 'placement';
  const colour = search.colour ?? 'role';
  return (
    <Page
      title="Map"
      tools={
        <>
          <SegmentedControl
            aria-label="View"
            value={view}
            onChange={value => set({ view: value === 'ranges' ? 'ranges' : undefined })}
            data={[
              { value: 'placement', label: 'Placement' },
              { value: 'ranges', label: 'Ranges' },
            ]}
          />
          {view === 'placement' && (
            <>
              <SegmentedControl
                aria-label="Colour by"
                value={colour}
                onChange={value => {
                  const chosen = COLOURS.find(c => c === value);
                  set({ colour: chosen === 'role' ? undefined : chosen });
                }}
                data={COLOURS.map(value => ({ value, label: COLOUR_LABELS[value] }))}
              />
              <button
                type="button"
                className="text-button"
                aria-pressed={search.problems === true}
                onClick={() => set({ problems: search.problems === true ? undefined : true })}
              >
                Problems only
              </button>
              <button
                type="button"
                className="text-button"
                aria-pressed={search.table === true}
                onClick={() => set({ table: search.table === true ? undefined : true })}
              >
                Table
              </button>
            </>
          )}
        </>
      }
    >
      {view === 'ranges' ? <RangesView /> : <Placement colour={colour} search={search} />}
    </Page>
  );
}

function Placement({ colour, search }: { colour: MapColour; search: MapSearch }) {
  const feed = useFeed('partitions');
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const onlyProblems = search.problems === true;
  const shown = onlyProblems ? rows.filter(hasProblem) : rows;
  // The groups change only when partitions come or go: cells subscribe to their own rows.
  const layout = shown.map(r => `${r.partitionId}${r.kind}`).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `layout` says all that the groups depend on
  const groups = useMemo(() => groupsOf(shown), [layout]);
  if (phase === 'loading') return <Waiting height={320} what="the partitions" />;
  const hidden = rows.length - shown.length;
  return (
    <Panel
      title="Placement"
      aside={
        <span className="muted small">
          {plural(shown.length, 'partition')}
          {hidden > 0 ? `, ${hidden} without problems hidden` : ''}
        </span>
      }
    >
      {shown.length === 0 ? (
        <p className="note">
          {onlyProblems
            ? `No partition has a problem. ${plural(rows.length, 'partition')} are fine.`
            : 'This node hosts no partition yet and knows of none.'}
        </p>
      ) : search.table === true ? (
        <PartitionsTable rows={shown} />
      ) : (
        <>
          <PlacementGrid feed={feed} groups={groups} colour={colour} />
          <Legend colour={colour} />
        </>
      )}
    </Panel>
  );
}

/** Nothing is invented: without range-routed spaces there is no key order to draw. */
function RangesView() {
  const spaces = useRows(useFeed('spaces')).filter(s => s.mode === 'KeyRange');
  const pool = useRows(useFeed('partitions')).filter(p => p.kind === 'hash');
  return (
    <Panel title="Ranges">
      <div className="body explain">
        {spaces.length > 0 ? (
          <p>{plural(spaces.length, 'key space')} routed by range; this release lists them without drawing them to scale.</p>
        ) : (
          <>
            <p>
              <strong>No key space is routed by range.</strong>
            </p>
            <p>
              Every key space is hash-routed: the part of a key before its last <code>/</code> is its key space, and the hash of
              that decides which of the {plural(pool.length, 'pool partition')} holds it. Keys of one space stay together.
            </p>
            <p>
              Hash partitions have no order to draw and are never split. A key space becomes a range, and appears here, once it is
              registered for range routing.
            </p>
            <p>
              <Link to="/map">Show the placement of the pool</Link>
            </p>
          </>
        )}
      </div>
    </Panel>
  );
}
