import { SegmentedControl } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo } from 'react';
import { rate } from '../../format/numbers.ts';
import { useFeed, useNow, useRows } from '../../live/use-live.ts';
import { Chart, type LineOf } from '../../ui/line-chart.tsx';
import type { Point } from '../../ui/line-model.ts';
import { Panel } from '../../ui/panel.tsx';
import { heatOf, METRICS, rateAt } from '../heat/heat-model.ts';
import { HEAT_WINDOWS } from '../heat/heat-windows.ts';

const route = getRouteApi('/partitions/$id');

const LOAD: readonly LineOf[] = [
  { name: 'reads', label: 'Reads', colour: 'var(--series-1)' },
  { name: 'writes', label: 'Writes', colour: 'var(--series-2)', dash: '5 2' },
];
const LOG: readonly LineOf[] = [{ name: 'entries', label: 'Entries', colour: 'var(--series-1)' }];

/** Load and log of one partition over time, as whoever led it measured them (console §6.4). */
export function LoadCharts({ partitionId }: { partitionId: number }) {
  const { window = '1h' } = route.useSearch();
  const navigate = route.useNavigate();
  const { step, columns, label } = HEAT_WINDOWS[window];
  const rows = useRows(useFeed('heat', { step, partitionId }));
  const clock = useNow();
  const points = useMemo((): readonly Point[] => {
    const heats = METRICS.map(metric => heatOf(rows, metric, columns));
    const [first] = heats;
    if (first === undefined) return [];
    return Array.from({ length: columns }, (_, column) => ({
      atMs: first.fromMs + column * first.stepMs,
      ...Object.fromEntries(METRICS.map((metric, i) => [metric, rateAt(heats[i] ?? first, 0, column)])),
    }));
  }, [rows, columns]);
  // The axis moves with the columns: every ten seconds, not with each second.
  const now = Math.floor(clock / (step * 1000)) * step * 1000;
  const shared = { points, spanMs: columns * step * 1000, last: label, now, format: rate };
  return (
    <Panel
      title="Load over time"
      aside={
        <>
          <span className="muted small">as its leaders measured it; a gap: nobody led, or nobody told</span>
          <span className="space" />
          <SegmentedControl
            aria-label="Time window"
            value={window}
            onChange={value => void navigate({ search: value === '12h' ? { window: value } : {} })}
            data={Object.entries(HEAT_WINDOWS).map(([value, each]) => ({ value, label: each.label }))}
          />
        </>
      }
    >
      <div className="charts">
        <Chart title="Load" lines={LOAD} {...shared} />
        <Chart title="Log" lines={LOG} {...shared} />
      </div>
    </Panel>
  );
}
