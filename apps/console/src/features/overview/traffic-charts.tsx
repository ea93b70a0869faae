import { SegmentedControl } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { usePreferences } from '../../app/preferences.ts';
import { type ChartWindow, WINDOWS } from '../../app/search.ts';
import { millis, rate } from '../../format/numbers.ts';
import { instant } from '../../format/time.ts';
import { useFeed, useFreeze, useNow, useRows } from '../../live/use-live.ts';
import { Chart, type LineOf } from '../../ui/line-chart.tsx';
import type { Point } from '../../ui/line-model.ts';
import { Panel } from '../../ui/panel.tsx';
import { pointsOf, SPANS } from './series-model.ts';

const TRAFFIC: readonly LineOf[] = [
  { name: 'readsPerSec', label: 'Reads', colour: 'var(--series-1)' },
  { name: 'writesPerSec', label: 'Writes', colour: 'var(--series-2)', dash: '5 2' },
];
const LATENCY: readonly LineOf[] = [
  { name: 'readP99Ms', label: 'Read p99', colour: 'var(--series-1)' },
  { name: 'writeP99Ms', label: 'Write p99', colour: 'var(--series-2)', dash: '5 2' },
];

const overview = getRouteApi('/');

/** How fine what is drawn is: it depends on whether somebody looked at the time. */
const RECORDED: Readonly<Record<ChartWindow, string>> = {
  '5min': 'by the second while a console is open, else means of 10 s',
  '1h': 'means of 10 s',
  '24h': 'means of a minute; older than 12 h only where a console was open',
};

/** Throughput and latency over the last minutes; one cursor for both, the numbers one key away as a table. */
export function TrafficCharts() {
  const { window = '5min' } = overview.useSearch();
  const navigate = overview.useNavigate();
  const [asTable, setAsTable] = useState(false);
  const items = useRows(useFeed('series', { step: SPANS[window].stepS }));
  const clock = useNow();
  const { frozen } = useFreeze();
  const [frozenAt, setFrozenAt] = useState<number>();
  if (frozen !== (frozenAt !== undefined)) setFrozenAt(frozen ? clock : undefined);
  const now = frozenAt ?? clock;
  const points = useMemo(() => pointsOf(items, window, now), [items, window, now]);
  const choose = (value: string) => {
    const chosen = WINDOWS.find(w => w === value);
    void navigate({ search: chosen === undefined || chosen === '5min' ? {} : { window: chosen } });
  };
  return (
    <Panel
      title="Traffic and latency"
      aside={
        <>
          <span className="muted small">{RECORDED[window]}</span>
          <span className="space" />
          <button type="button" className="text-button" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            Table
          </button>
          <SegmentedControl
            aria-label="Time window"
            value={window}
            onChange={choose}
            data={WINDOWS.map(value => ({ value, label: SPANS[value].label }))}
          />
        </>
      }
    >
      {asTable ? (
        <PointsTable points={points} now={now} />
      ) : (
        <div className="charts">
          <Chart
            title="Throughput"
            lines={TRAFFIC}
            points={points}
            spanMs={SPANS[window].spanMs}
            last={SPANS[window].label}
            now={now}
            format={rate}
          />
          <Chart
            title="Latency, slowest node"
            lines={LATENCY}
            points={points}
            spanMs={SPANS[window].spanMs}
            last={SPANS[window].label}
            now={now}
            format={millis}
          />
        </div>
      )}
    </Panel>
  );
}

const TABLE_ROWS = 30;

function PointsTable({ points, now }: { points: readonly Point[]; now: number }) {
  const { zone } = usePreferences();
  const newest = points.filter(p => Object.keys(p).length > 1).slice(-TABLE_ROWS);
  return (
    <div className="scroll-x">
      <table className="grid">
        <thead>
          <tr>
            <th scope="col">time</th>
            {[...TRAFFIC, ...LATENCY].map(line => (
              <th key={line.name} scope="col" className="num">
                {line.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...newest].reverse().map(point => (
            <tr key={point.atMs}>
              <th scope="row">{instant(point.atMs, now, zone)}</th>
              {TRAFFIC.map(line => (
                <td key={line.name} className="num">
                  {rate(point[line.name] ?? null)}
                </td>
              ))}
              {LATENCY.map(line => (
                <td key={line.name} className="num">
                  {millis(point[line.name] ?? null)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
