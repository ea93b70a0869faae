import { type ReactNode, useMemo } from 'react';
import { useFeed, useRows } from '../../live/use-live.ts';
import type { VitalsRow } from '../../protocol/messages.ts';
import { Sparkline } from '../../ui/sparkline.tsx';
import { coarser, ratesOf } from '../heat/series.ts';

const VITALS = ['reads', 'writes', 'cpu', 'logP99Ms', 'eventLoopP99Ms'] as const;
export type Vital = (typeof VITALS)[number];
const POINTS = 60;

/** The last hour of every node, and of each vital the most that any node had: lines beside one another compare. */
export interface VitalLines {
  readonly nodes: ReadonlyMap<number, Readonly<Record<Vital, readonly (number | null)[]>>>;
  readonly most: Readonly<Record<Vital, number>>;
}

export function useVitalLines(): VitalLines {
  const rows = useRows(useFeed('vitals', { step: 10 }));
  return useMemo(() => linesOf(rows), [rows]);
}

function linesOf(rows: readonly VitalsRow[]): VitalLines {
  const nodes = new Map(
    rows.map(row => {
      const lines = Object.fromEntries(VITALS.map(vital => [vital, coarser(ratesOf(row[vital]), POINTS)]));
      return [row.nodeId, lines as Record<Vital, readonly (number | null)[]>] as const;
    }),
  );
  const most = Object.fromEntries(
    VITALS.map(vital => [vital, Math.max(0, ...[...nodes.values()].flatMap(lines => lines[vital].map(value => value ?? 0)))]),
  ) as Record<Vital, number>;
  return { nodes, most };
}

interface WithLineProps {
  readonly lines: VitalLines;
  readonly nodeId: number;
  readonly vital: Vital;
  readonly children: ReactNode;
}

/** A number, and the hour that led to it. The place is kept while nothing is known yet, so that nothing moves when it comes. */
export function WithLine({ lines, nodeId, vital, children }: WithLineProps) {
  return (
    <span className="with-line">
      <span>{children}</span>
      <Sparkline values={lines.nodes.get(nodeId)?.[vital] ?? []} most={lines.most[vital]} width={60} height={14} />
    </span>
  );
}
