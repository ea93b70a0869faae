import './line-chart.css';
import { CartesianGrid, Line, LineChart, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { usePreferences } from '../app/preferences.ts';
import { significant } from '../format/numbers.ts';
import { instant, timeOfDay } from '../format/time.ts';
import { timeTicks, valueTicks } from './axis-model.ts';
import { type Point, summary } from './line-model.ts';

export interface LineOf {
  readonly name: string;
  readonly label: string;
  readonly colour: string;
  readonly dash?: string;
}

interface ChartProps {
  readonly title: string;
  readonly lines: readonly LineOf[];
  readonly points: readonly Point[];
  readonly spanMs: number;
  /** The span in words. */
  readonly last: string;
  readonly now: number;
  readonly format: (value: number | null) => string;
}

/** Lines over time with one cursor for all charts of a page; no smoothing, and gaps stay gaps (console §12.6). */
export function Chart({ title, lines, points, spanMs, last, now, format }: ChartProps) {
  const { zone } = usePreferences();
  const told = lines.map(line => {
    const { newest, most } = summary(points, line.name);
    return `${line.label} ${format(newest)}, at most ${format(most)}`;
  });
  const time = (ms: number) => instant(ms, now, zone);
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
      <div className="plot" role="img" aria-label={`${title}, last ${last}: ${told.join('; ')}`}>
        <ResponsiveContainer width="100%" height="100%">
          <LineChart
            data={points as Point[]}
            syncId="page"
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
