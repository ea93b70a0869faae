import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { rate } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows } from '../../live/use-live.ts';
import type { HeatRow } from '../../protocol/messages.ts';
import { Panel } from '../../ui/panel.tsx';
import { Sparkline } from '../../ui/sparkline.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { heatOf, type RowSummary, ratesOfPartition, summariesOf } from '../heat/heat-model.ts';
import { HEAT_WINDOWS } from '../heat/heat-windows.ts';
import { coarser } from '../heat/series.ts';

const SHOWN = 5;
const POINTS = 90;
const WINDOW = HEAT_WINDOWS['1h'];

/** A partition's load of one kind, with every column of the hour. */
interface Line extends RowSummary {
  readonly rates: readonly (number | null)[];
}

interface Busy {
  readonly writes: Line;
  readonly reads: Line | undefined;
}

/** What is hot: the partitions with the most reads and writes of the last hour; all of them are on the page of the heat. */
export function BusiestPanel() {
  const feed = useFeed('heat', { step: WINDOW.step, count: SHOWN });
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const busiest = useMemo(() => busiestOf(rows), [rows]);
  const most = Math.max(0, ...busiest.flatMap(({ writes, reads }) => [writes.most ?? 0, reads?.most ?? 0]));
  return (
    <Panel
      title="Busiest partitions"
      aside={
        <>
          <span className="muted small">of the last hour, by number</span>
          <span className="space" />
          <Link to="/heat">heat</Link>
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={140} what="the loads" />
      ) : busiest.length === 0 ? (
        <p className="note">Nothing was read or written since the nodes that lead began to note it.</p>
      ) : (
        <table className="grid" aria-label="Busiest partitions">
          <thead>
            <tr>
              <th scope="col">partition</th>
              <th scope="col" className="num" colSpan={2}>
                reads
              </th>
              <th scope="col" className="num" colSpan={2}>
                writes
              </th>
            </tr>
          </thead>
          <tbody>
            {busiest.map(({ writes, reads }) => (
              <tr key={writes.partitionId}>
                <th scope="row">
                  <Link to="/partitions/$id" params={{ id: String(writes.partitionId) }}>
                    P{writes.partitionId}
                  </Link>
                </th>
                <Measure of={reads} most={most} />
                <Measure of={writes} most={most} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

function Measure({ of, most }: { of: Line | undefined; most: number }) {
  return (
    <>
      <td className="busy-line">
        <Sparkline values={coarser(of?.rates ?? [], POINTS)} most={most} width={180} />
      </td>
      <td className="num">{rate(of?.now ?? null)}</td>
    </>
  );
}

/** By their numbers: what is busiest changes places all the time, and rows must not (console C5). */
function busiestOf(rows: readonly HeatRow[]): readonly Busy[] {
  const [writes, reads] = (['writes', 'reads'] as const).map(metric => {
    const heat = heatOf(rows, metric, WINDOW.columns);
    if (heat === undefined) return [];
    return summariesOf(heat).map(row => ({ ...row, rates: ratesOfPartition(heat, row.partitionId) }));
  });
  const readsOf = new Map(reads?.map(row => [row.partitionId, row]));
  const load = ({ writes, reads }: Busy): number => (writes.mean ?? 0) + (reads?.mean ?? 0);
  return (writes ?? [])
    .map(row => ({ writes: row, reads: readsOf.get(row.partitionId) }))
    .filter(row => load(row) > 0)
    .sort((a, b) => load(b) - load(a) || a.writes.partitionId - b.writes.partitionId)
    .slice(0, SHOWN)
    .sort((a, b) => a.writes.partitionId - b.writes.partitionId);
}
