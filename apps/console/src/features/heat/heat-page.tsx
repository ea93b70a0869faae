import '../map/map.css';
import './heat.css';
import { SegmentedControl, Tooltip } from '@mantine/core';
import { IconChevronDown, IconChevronLeft, IconChevronRight, IconChevronUp, IconZoomIn, IconZoomOut } from '@tabler/icons-react';
import { getRouteApi, Link } from '@tanstack/react-router';
import { type ReactNode, useMemo, useState } from 'react';
import { Page } from '../../app/page.tsx';
import { usePreferences } from '../../app/preferences.ts';
import type { HeatSearch } from '../../app/search.ts';
import { integer, plural, rate, significant } from '../../format/numbers.ts';
import { timeOfDay } from '../../format/time.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import { Instant } from '../../ui/ages.tsx';
import { ApplyOrder, useOrderedRows } from '../../ui/ordered-rows.tsx';
import { Panel } from '../../ui/panel.tsx';
import { Sparkline } from '../../ui/sparkline.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { Scale } from '../map/legend.tsx';
import { type Cursor, HeatCanvas, placeIn, usePicture } from './heat-canvas.tsx';
import type { HeatMark } from './heat-drawing.ts';
import {
  type Heat,
  heatOf,
  METRIC_LABEL,
  METRICS,
  type RowSummary,
  rateAt,
  ratesOfPartition,
  summariesOf,
  totalsOf,
} from './heat-model.ts';
import { type HeatView, hottestIn, pan, type Picture as ShownPicture, visiblePart, zoomAbout, zoomTo } from './heat-view.ts';
import { HEAT_WINDOWS } from './heat-windows.ts';
import { coarser } from './series.ts';

const route = getRouteApi('/heat');
const DECADES = ['none', '< 0.1', '0.1', '1', '10', '100', '1 k', '10 k', '100 k'] as const;
const SPARK_POINTS = 60;

/** Which partitions were busy, when (console §6.3). */
export function HeatPage() {
  const { metric = 'writes', window = '1h', since, until, parts } = route.useSearch();
  const navigate = route.useNavigate();
  const { step, columns, last } = HEAT_WINDOWS[window];
  const feed = useFeed('heat', { step, metric });
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const heat = useMemo(() => heatOf(rows, metric, columns), [rows, metric, columns]);
  const view = useMemo((): HeatView => {
    const time = since === undefined || until === undefined ? {} : { since, until };
    return { ...time, ...(parts === undefined ? {} : { parts }) };
  }, [since, until, parts]);
  const seen = useMemo(() => (heat === undefined ? undefined : visiblePart(heat, view)), [heat, view]);
  const change = (to: { readonly [K in keyof HeatSearch]?: HeatSearch[K] | undefined }, replace = false) =>
    void navigate({
      replace,
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
            onChange={value => change({ window: value === '12h' ? value : undefined, since: undefined, until: undefined })}
            data={Object.entries(HEAT_WINDOWS).map(([value, { label }]) => ({ value, label }))}
          />
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={320} what="the loads" />
      ) : heat === undefined || seen === undefined ? (
        <p className="note">
          Nothing is known yet: each node notes the loads of the partitions it leads every ten seconds, from its start on.
        </p>
      ) : (
        <div className="stack">
          <Picture
            all={heat}
            seen={seen}
            view={view}
            what={METRIC_LABEL[metric]}
            last={last}
            onView={(next, replace) => {
              if (JSON.stringify(next) !== JSON.stringify(view))
                change({ since: next.since, until: next.until, parts: next.parts }, replace);
            }}
          />
          <Busiest heat={seen} what={METRIC_LABEL[metric]} basis={`${metric} ${window} ${since} ${until} ${parts}`} />
        </div>
      )}
    </Page>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const WHOLE: HeatView = {};

interface PictureProps {
  readonly all: Heat;
  readonly seen: Heat;
  readonly view: HeatView;
  readonly what: string;
  readonly last: string;
  /** `replace`: the way back leads past it. */
  readonly onView: (view: HeatView, replace?: boolean) => void;
}

function Picture({ all, seen, view, what, last, onView }: PictureProps) {
  const [cursor, setCursor] = useState<Cursor>();
  const [pinned, setPinned] = useState<Cursor>();
  const { picture, width, ref } = usePicture(seen);
  const navigate = route.useNavigate();
  const marks = useLeaderChanges();
  const totals = useMemo(() => totalsOf(seen), [seen]);
  const [hottest] = useMemo(() => [...summariesOf(seen)].sort(byMean), [seen]);
  const time = useTimeText(seen, view, last);
  const summary =
    hottest?.mean == null
      ? `No ${what} were measured ${time}.`
      : `Hottest ${time}: partition ${hottest.partitionId} with ${significant(hottest.mean)} ${what}/s on average, at most ${significant(hottest.most)}.`;
  const zoom = (next: HeatView) => {
    setPinned(undefined);
    onView(next);
  };
  const zoomBy = (factor: number, about: Cursor | undefined) => {
    const middle = { row: seen.partitions.length / 2, column: seen.columns / 2 };
    const at =
      about === undefined
        ? middle
        : { row: seen.partitions.indexOf(about.partitionId), column: Math.round((about.atMs - seen.fromMs) / seen.stepMs) };
    zoom(zoomAbout(all, seen, at, factor));
  };
  const panBy = (rows: number, columns: number) =>
    onView(pan(all, seen, { rows: rows / seen.partitions.length, columns: columns / seen.columns }), true);
  const band = (id: number) => picture.bands.find(({ first, last }) => id >= first && id <= last);
  const open = (id: number) => {
    const { from, to } = band(id) ?? { from: 0, to: 1 };
    if (to - from > 1) zoom(zoomTo(all, seen, { rows: [from, to - 1], columns: [0, seen.columns - 1] }));
    else void navigate({ to: '/partitions/$id', params: { id: String(id) } });
  };
  const isWhole = view.since === undefined && view.parts === undefined;
  return (
    <Panel
      title={titleOf(all, seen)}
      aside={
        <>
          <span className="muted small">
            {time}, {what} per second as their leaders measured them
          </span>
          <span className="space" />
          <span className="muted small">all together</span>
          <Sparkline values={coarser(totals, SPARK_POINTS)} width={120} />
          <span className="num small">{rate(totals.at(-1) ?? null)}</span>
        </>
      }
    >
      {/* biome-ignore lint/a11y/useSemanticElements: buttons that belong together are no fieldset */}
      <div className="heat-tools" role="group" aria-label="Zoom">
        <ZoomButton label="Zoom in" icon={<IconZoomIn size={16} />} onClick={() => zoomBy(0.5, pinned)} />
        <ZoomButton label="Zoom out" icon={<IconZoomOut size={16} />} disabled={isWhole} onClick={() => zoomBy(2, pinned)} />
        {view.since !== undefined && (
          <>
            <ZoomButton
              label="Earlier"
              icon={<IconChevronLeft size={16} />}
              onClick={() => onView(pan(all, seen, { columns: -0.5 }), true)}
            />
            <ZoomButton
              label="Later"
              icon={<IconChevronRight size={16} />}
              onClick={() => onView(pan(all, seen, { columns: 0.5 }), true)}
            />
          </>
        )}
        {view.parts !== undefined && (
          <>
            <ZoomButton
              label="Partitions before"
              icon={<IconChevronUp size={16} />}
              onClick={() => onView(pan(all, seen, { rows: -0.5 }), true)}
            />
            <ZoomButton
              label="Partitions after"
              icon={<IconChevronDown size={16} />}
              onClick={() => onView(pan(all, seen, { rows: 0.5 }), true)}
            />
          </>
        )}
        {!isWhole && (
          <button type="button" className="text-button" onClick={() => zoom(WHOLE)}>
            Whole picture
          </button>
        )}
        <span className="muted small heat-hint">
          drag over what you want to see closer<span className="only-keys">, or walk with the arrow keys and press + − 0</span>
        </span>
      </div>
      <HeatCanvas
        heat={seen}
        picture={picture}
        width={width}
        sizeRef={ref}
        marks={marks}
        cursor={cursor}
        pinned={pinned}
        summary={summary}
        onCursor={setCursor}
        onPin={setPinned}
        onOpen={open}
        onZoomTo={rectangle => zoom(zoomTo(all, seen, rectangle))}
        onZoom={(factor, about) => zoomBy(factor, about)}
        onWhole={() => zoom(WHOLE)}
        onPan={panBy}
      />
      <Readout heat={seen} picture={picture} cursor={cursor ?? pinned} what={what} summary={summary} />
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
        <Together picture={picture} heat={seen} />
      </ul>
    </Panel>
  );
}

function titleOf(all: Heat, seen: Heat): string {
  const count = seen.partitions.length;
  if (count === all.partitions.length) return plural(count, 'partition');
  return `P${seen.partitions[0]} to P${seen.partitions.at(-1)}, ${integer(count)} of ${plural(all.partitions.length, 'partition')}`;
}

/** Which time is seen: the one that goes on, or a piece of it that stands still. */
function useTimeText(seen: Heat, view: HeatView, last: string): string {
  const { zone } = usePreferences();
  if (view.since === undefined) return `in the last ${last}`;
  return `from ${timeOfDay(seen.fromMs, zone)} to ${timeOfDay(seen.fromMs + seen.columns * seen.stepMs, zone)}`;
}

/** Says so where a point of the picture is more than one cell. */
function Together({ picture, heat }: { picture: ShownPicture; heat: Heat }) {
  const rows = Math.max(1, ...picture.bands.map(({ from, to }) => to - from));
  const columns = Math.round(picture.stepMs / heat.stepMs);
  if (rows === 1 && columns === 1) return null;
  const parts = [
    ...(rows > 1 ? [`${rows} neighbouring partitions`] : []),
    ...(columns > 1 ? [`${Math.round(picture.stepMs / 1000)} s`] : []),
  ];
  return <li className="muted">each point: the most of {parts.join(' and ')}; zoom in for more</li>;
}

interface ZoomButtonProps {
  readonly label: string;
  readonly icon: ReactNode;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

function ZoomButton({ label, icon, disabled = false, onClick }: ZoomButtonProps) {
  return (
    <Tooltip label={label}>
      <button type="button" className="icon-button" aria-label={label} disabled={disabled} onClick={onClick}>
        {icon}
      </button>
    </Tooltip>
  );
}

interface ReadoutProps {
  readonly heat: Heat;
  readonly picture: ShownPicture;
  readonly cursor: Cursor | undefined;
  readonly what: string;
  readonly summary: string;
}

/** What the cursor is on; always there, so that nothing moves when it comes. */
function Readout({ heat, picture, cursor, what, summary }: ReadoutProps) {
  const { row, column } = cursor === undefined ? { row: -1, column: -1 } : placeIn(cursor, picture);
  const band = picture.bands[row];
  if (band === undefined || column < 0 || column >= picture.columns) return <p className="heat-readout muted">{summary}</p>;
  const value = rateAt(picture, row, column);
  const hottest = hottestIn(heat, picture, row, column);
  const isOne = band.to - band.from === 1;
  const id = isOne ? band.first : hottest === undefined ? undefined : heat.partitions[hottest];
  const fromMs = picture.fromMs + column * picture.stepMs;
  return (
    <p className="heat-readout">
      {!isOne && (
        <span>
          Partitions {band.first} to {band.last}
        </span>
      )}
      <span className="muted">
        <Instant ms={fromMs} /> to <Instant ms={fromMs + picture.stepMs} />
      </span>
      {value === null ? (
        <span>not known: no leader told</span>
      ) : (
        <strong>
          {isOne ? '' : 'at most '}
          {significant(value)} {what}/s
        </strong>
      )}
      {id !== undefined && (
        <Link to="/partitions/$id" params={{ id: String(id) }}>
          Partition {id}
        </Link>
      )}
    </p>
  );
}

function byMean(a: RowSummary, b: RowSummary): number {
  return (b.mean ?? -1) - (a.mean ?? -1) || a.partitionId - b.partitionId;
}

const TABLE_ROWS = 100;

/** The same as numbers: what the picture says, for those who cannot see it and those who want to know it exactly. */
function Busiest({ heat, what, basis }: { heat: Heat; what: string; basis: string }) {
  const sorted = useMemo(() => [...summariesOf(heat)].sort(byMean).slice(0, TABLE_ROWS), [heat]);
  const order = useOrderedRows(sorted, row => String(row.partitionId), basis);
  const most = Math.max(0, ...sorted.map(row => row.most ?? 0));
  const more = heat.partitions.length - sorted.length;
  return (
    <Panel
      title="Busiest partitions"
      aside={
        <>
          <span className="muted small">
            by their mean over the time above
            {more > 0 && `, the first ${TABLE_ROWS} of ${integer(heat.partitions.length)}; zoom in for the others`}
          </span>
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
                  <Sparkline values={coarser(ratesOfPartition(heat, row.partitionId), SPARK_POINTS)} most={most} width={240} />
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
