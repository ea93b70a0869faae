import { SegmentedControl } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { CartesianGrid, Line, LineChart, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { usePreferences } from '../../app/preferences.ts';
import { type ChartWindow, WINDOWS } from '../../app/search.ts';
import { millis, rate, significant } from '../../format/numbers.ts';
import { instant, timeOfDay } from '../../format/time.ts';
import { useFeed, useFreeze, useNow, useRows } from '../../live/use-live.ts';
import { Panel } from '../../ui/panel.tsx';
import { timeTicks, valueTicks } from './axis-model.ts';
import { type Point, pointsOf, SPANS, summary } from './series-model.ts';

interface LineOf {
  readonly name: string;
  readonly label: string;
  readonly colour: string;
  readonly dash?: string;
}

const TRAFFIC: readonly LineOf[] = [
  { name: 'readsPerSec', label: 'Reads', colour: 'var(--series-1)' },
  { name: 'writesPerSec', label: 'Writes', colour: 'var(--series-2)', dash: '5 2' },
];
const LATENCY: readonly LineOf[] = [
  { name: 'readP99Ms', label: 'Read p99', colour: 'var(--series-1)' },
  { name: 'writeP99Ms', label: 'Write p99', colour: 'var(--series-2)', dash: '5 2' },
];

const overview = getRouteApi('/');

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
          <span className="muted small">recorded while a console is open</span>
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
          <Chart title="Throughput" lines={TRAFFIC} points={points} window={window} now={now} format={rate} />
          <Chart title="Latency, slowest node" lines={LATENCY} points={points} window={window} now={now} format={millis} />
        </div>
      )}
    </Panel>
  );
}

interface ChartProps {
  readonly title: string;
  readonly lines: readonly LineOf[];
  readonly points: readonly Point[];
  readonly window: ChartWindow;
  readonly now: number;
  readonly format: (value: number | null) => string;
}

function Chart({ title, lines, points, window, now, format }: ChartProps) {
  const { zone } = usePreferences();
  const told = lines.map(line => {
    const { newest, most } = summary(points, line.name);
    return `${line.label} ${format(newest)}, at most ${format(most)}`;
  });
  const time = (ms: number) => instant(ms, now, zone);
  const { spanMs } = SPANS[window];
  const offsetMs = zone === 'utc' ? 0 : -new Date(now).getTimezoneOffset() * 60_000;
  const values = valueTicks(Math.max(0, ...lines.map(line => summary(points, line.name).most ?? 0)));
  return (
    <figure>
      <figcaption>
        <strong>{title}</strong>
        {lines.map(line => (
          <span key={line.name} className="key">
            <svg width="16" height="6" aria-hidden="true">
              <path d="M0 3h16" stroke={line.colour} strokeWidth="2" strokeDasharray={line.dash} />
            </svg>
            {line.label}
          </span>
        ))}
      </figcaption>
      <div className="plot" role="img" aria-label={`${title}, last ${SPANS[window].label}: ${told.join('; ')}`}>
        <ResponsiveContainer width="100%" height="100%">
          <LineChart
            data={points as Point[]}
            syncId="overview"
            syncMethod="value"
            accessibilityLayer={false}
            margin={{ top: 4, right: 6, bottom: 0, left: 0 }}
          >
            <CartesianGrid stroke="var(--line)" vertical={false} />
            <XAxis
              dataKey="atMs"
              type="number"
              scale="time"
              domain={[now - spanMs, now]}
              allowDataOverflow
              ticks={timeTicks(now, spanMs, offsetMs)}
              tickFormatter={ms => timeOfDay(Number(ms), zone)}
              minTickGap={16}
              stroke="var(--line-strong)"
              tick={{ fill: 'var(--muted)', fontSize: 11 }}
              tickLine={false}
            />
            <YAxis
              width={44}
              domain={[0, values.at(-1) ?? 1]}
              ticks={values}
              interval={0}
              tickFormatter={significant}
              axisLine={false}
              tickLine={false}
              tick={{ fill: 'var(--muted)', fontSize: 11 }}
            />
            <Tooltip
              isAnimationActive={false}
              cursor={{ stroke: 'var(--line-strong)' }}
              content={({ active, payload, label }) =>
                active && payload !== undefined ? (
                  <div className="chart-tip">
                    <div className="muted">{time(Number(label))}</div>
                    {lines.map(line => (
                      <div key={line.name}>
                        {line.label} {format((payload[0]?.payload as Point | undefined)?.[line.name] ?? null)}
                      </div>
                    ))}
                  </div>
                ) : null
              }
            />
            {lines.map(line => (
              <Line
                key={line.name}
                type="linear"
                dataKey={line.name}
                stroke={line.colour}
                strokeWidth={1.5}
                {...(line.dash === undefined ? {} : { strokeDasharray: line.dash })}
                dot={false}
                connectNulls={false}
                isAnimationActive={false}
              />
            ))}
          </LineChart>
        </ResponsiveContainer>
      </div>
    </figure>
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
