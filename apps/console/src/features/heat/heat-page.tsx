import '../map/map.css';
import './heat.css';
import { SegmentedControl } from '@mantine/core';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { Page } from '../../app/page.tsx';
import type { HeatSearch } from '../../app/search.ts';
import { plural, rate } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import { Instant } from '../../ui/ages.tsx';
import { ApplyOrder, useOrderedRows } from '../../ui/ordered-rows.tsx';
import { Panel } from '../../ui/panel.tsx';
import { Sparkline } from '../../ui/sparkline.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { Scale } from '../map/legend.tsx';
import { type Cursor, HeatCanvas, type HeatMark } from './heat-canvas.tsx';
import { type Heat, heatOf, METRIC_LABEL, METRICS, type RowSummary, rateAt, summariesOf, totalsOf } from './heat-model.ts';
import { HEAT_WINDOWS } from './heat-windows.ts';
import { coarser } from './series.ts';

const route = getRouteApi('/heat');
const DECADES = ['none', '< 0.1', '0.1', '1', '10', '100', '1 k', '10 k', '100 k'] as const;
const SPARK_POINTS = 60;

/** Which partitions were busy, when (console §6.3). */
export function HeatPage() {
  const { metric = 'writes', window = '1h' } = route.useSearch();
  const navigate = route.useNavigate();
  const { step, columns, label } = HEAT_WINDOWS[window];
  const feed = useFeed('heat', { step });
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const heat = useMemo(() => heatOf(rows, metric, columns), [rows, metric, columns]);
  const change = (to: { readonly [K in keyof HeatSearch]?: HeatSearch[K] | undefined }) =>
    void navigate({
      search: old => Object.fromEntries(Object.entries({ ...old, ...to }).filter(([, v]) => v !== undefined)) as HeatSearch,
    });
  return (
    <Page
      title="Heat"
      tools={
        <>
          <SegmentedControl
            aria-label="Measure"
            value={metric}
            onChange={value => change({ metric: value === 'reads' || value === 'entries' ? value : undefined })}
            data={METRICS.map(value => ({ value, label: capital(METRIC_LABEL[value]) }))}
          />
          <SegmentedControl
            aria-label="Time window"
            value={window}
            onChange={value => change({ window: value === '12h' ? value : undefined })}
            data={Object.entries(HEAT_WINDOWS).map(([value, { label }]) => ({ value, label }))}
          />
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={320} what="the loads" />
      ) : heat === undefined ? (
        <p className="note">
          Nothing is known yet: each node notes the loads of the partitions it leads every ten seconds, from its start on.
        </p>
      ) : (
        <div className="stack">
          <Picture heat={heat} what={METRIC_LABEL[metric]} label={label} />
          <Busiest heat={heat} what={METRIC_LABEL[metric]} basis={`${metric} ${window}`} />
        </div>
      )}
    </Page>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Picture({ heat, what, label }: { heat: Heat; what: string; label: string }) {
  const [cursor, setCursor] = useState<Cursor>();
  const [pinned, setPinned] = useState<Cursor>();
  const navigate = route.useNavigate();
  const marks = useLeaderChanges();
  const totals = useMemo(() => totalsOf(heat), [heat]);
  const [hottest] = useMemo(() => [...summariesOf(heat)].sort(byMean), [heat]);
  const summary =
    hottest?.mean == null
      ? `No ${what} were measured in the last ${label}.`
      : `Hottest in the last ${label}: partition ${hottest.partitionId} with ${rate(hottest.mean)} ${what} on average, at most ${rate(hottest.most)}.`;
  return (
    <Panel
      title={`${plural(heat.partitions.length, 'partition')}, last ${label}`}
      aside={
        <>
          <span className="muted small">{what} per second, as their leaders measured them</span>
          <span className="space" />
          <span className="muted small">all together</span>
          <Sparkline values={coarser(totals, SPARK_POINTS)} width={160} />
          <span className="num small">{rate(totals.at(-1) ?? null)}</span>
        </>
      }
    >
      <HeatCanvas
        heat={heat}
        marks={marks}
        cursor={cursor}
        pinned={pinned}
        summary={summary}
        onCursor={setCursor}
        onPin={setPinned}
        onOpen={id => void navigate({ to: '/partitions/$id', params: { id: String(id) } })}
      />
      <Readout heat={heat} cursor={cursor ?? pinned} what={what} summary={summary} />
      <ul className="legend" aria-label="Legend">
        <Scale labels={DECADES} what="per second" />
        <li>
          <span className="heat-unknown" aria-hidden="true" />
          not known
        </li>
        <li>
          <span className="heat-mark" aria-hidden="true" />
          new leader
        </li>
      </ul>
    </Panel>
  );
}

/** What the cursor is on; always there, so that nothing moves when it comes. */
function Readout(props: { heat: Heat; cursor: Cursor | undefined; what: string; summary: string }) {
  const { heat, cursor, what, summary } = props;
  const row = cursor === undefined ? -1 : heat.partitions.indexOf(cursor.partitionId);
  const column = cursor === undefined ? -1 : Math.round((cursor.atMs - heat.fromMs) / heat.stepMs);
  if (cursor === undefined || row < 0 || column < 0 || column >= heat.columns)
    return <p className="heat-readout muted">{summary}</p>;
  const value = rateAt(heat, row, column);
  return (
    <p className="heat-readout">
      <Link to="/partitions/$id" params={{ id: String(cursor.partitionId) }}>
        Partition {cursor.partitionId}
      </Link>
      <span className="muted">
        <Instant ms={cursor.atMs} /> to <Instant ms={cursor.atMs + heat.stepMs} />
      </span>
      {value === null ? <span>not known: no leader told</span> : <strong>{`${rate(value)} ${what}`}</strong>}
    </p>
  );
}

function byMean(a: RowSummary, b: RowSummary): number {
  return (b.mean ?? -1) - (a.mean ?? -1) || a.partitionId - b.partitionId;
}

/** The same as numbers: what the picture says, for those who cannot see it and those who want to know it exactly. */
function Busiest({ heat, what, basis }: { heat: Heat; what: string; basis: string }) {
  const sorted = useMemo(() => [...summariesOf(heat)].sort(byMean), [heat]);
  const order = useOrderedRows(sorted, row => String(row.partitionId), basis);
  const most = Math.max(0, ...sorted.map(row => row.most ?? 0));
  return (
    <Panel
      title="Busiest partitions"
      aside={
        <>
          <span className="muted small">by their mean over the window</span>
          <ApplyOrder order={order} />
        </>
      }
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
      <section className="scroll-box heat-table" tabIndex={0} aria-label="List of partitions by load">
        <table className="grid" aria-label="Busiest partitions">
          <thead>
            <tr>
              <th scope="col">partition</th>
              <th scope="col" className="opt">
                {what} over time
              </th>
              {['newest', 'mean', 'most'].map(title => (
                <th key={title} scope="col" className="num">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {order.rows.map(row => (
              <tr key={row.partitionId}>
                <th scope="row">
                  <Link to="/partitions/$id" params={{ id: String(row.partitionId) }} data-row title={`P${row.partitionId}`}>
                    P{row.partitionId}
                  </Link>
                </th>
                <td className="opt">
                  <Sparkline values={coarser(row.rates, SPARK_POINTS)} most={most} width={240} />
                </td>
                <td className="num">{rate(row.now)}</td>
                <td className="num">{rate(row.mean)}</td>
                <td className="num">{rate(row.most)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Panel>
  );
}

/** Where leaderships changed, as the serving node knows it. */
function useLeaderChanges(): readonly HeatMark[] {
  const events = useRows(useFeed('events', { filter: { kind: ['leader-changed'] } }));
  return useMemo(
    () =>
      events.flatMap(({ subject, atMs }) => {
        const id = /^partition\/(\d+)$/.exec(subject)?.[1];
        return id === undefined ? [] : [{ partitionId: Number(id), atMs }];
      }),
    [events],
  );
}
