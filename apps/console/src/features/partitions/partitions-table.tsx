import { Link } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useMemo, useRef } from 'react';
import { integer, rate } from '../../format/numbers.ts';
import { useFeed, useFreshness, useMarked, useRows } from '../../live/use-live.ts';
import type { PartitionRow } from '../../protocol/messages.ts';
import { Since } from '../../ui/ages.tsx';
import { Delta } from '../../ui/delta.tsx';
import { Mark } from '../../ui/marks.tsx';
import { hasProblem } from '../map/cell-model.ts';
import { COLUMNS, maxLag } from './columns.ts';

/** Height of a row in the compact density; the virtual list corrects itself by what it measures. */
const ROW_PX = 29;

interface TableProps {
  readonly rows: readonly PartitionRow[];
  readonly sort?: string | undefined;
  readonly descending?: boolean;
  readonly onSort?: (column: string) => void;
}

/** Every partition as a row of a real table: what the map draws, in words and numbers. */
export function PartitionsTable({ rows, sort, descending = false, onSort }: TableProps) {
  const nodes = useRows(useFeed('nodes'));
  const marked = useMarked(useFeed('partitions'));
  const names = nodes.map(n => `${n.nodeId} ${n.name}`).join('\n');
  // The same function while the names are the same: scrolling must not draw again the rows that stay.
  const nameOf = useMemo(() => {
    const byId = new Map(names.split('\n').map(line => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]));
    return (id: number) => byId.get(String(id)) ?? `node ${id}`;
  }, [names]);
  const box = useRef<HTMLDivElement>(null);
  const drawn = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    getItemKey: i => rows[i]?.partitionId ?? i,
    overscan: 12,
  });
  const items = drawn.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = drawn.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
    <section ref={box} className="scroll-box" tabIndex={0} aria-label="List of partitions">
      <table className="grid fixed" aria-label="Partitions" aria-rowcount={rows.length + 1}>
        <colgroup>
          {COLUMNS.map(column => (
            <col key={column.id} style={{ width: column.width }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {COLUMNS.map(column => (
              <th
                key={column.id}
                scope="col"
                className={column.numeric ? 'num' : undefined}
                aria-sort={sort === column.id ? (descending ? 'descending' : 'ascending') : undefined}
              >
                {onSort === undefined ? (
                  column.title
                ) : (
                  <button type="button" className="sort" onClick={() => onSort(column.id)}>
                    {column.title}
                    {sort === column.id && <span aria-hidden="true">{descending ? ' ↓' : ' ↑'}</span>}
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Gap height={above} />
          {items.map(item => {
            const row = rows[item.index];
            return row === undefined ? null : (
              <PartitionLine
                key={item.key}
                row={row}
                then={marked?.get(String(row.partitionId))}
                index={item.index}
                nameOf={nameOf}
              />
            );
          })}
          <Gap height={below} />
        </tbody>
      </table>
    </section>
  );
}

/** Stands for the rows that are scrolled out of sight. */
function Gap({ height }: { height: number }) {
  return height <= 0 ? null : (
    <tr>
      <td colSpan={COLUMNS.length} style={{ height, padding: 0, border: 0 }} />
    </tr>
  );
}

interface PartitionLineProps {
  readonly row: PartitionRow;
  /** As it was when the user marked the values. */
  readonly then: PartitionRow | undefined;
  readonly index: number;
  readonly nameOf: (id: number) => string;
}

const PartitionLine = memo(function PartitionLine({ row, then, index, nameOf }: PartitionLineProps) {
  const freshness = useFreshness(row.source);
  const lag = maxLag(row);
  return (
    <tr aria-label={`partition ${row.partitionId}`} aria-rowindex={index + 2} data-stale={freshness.level}>
      <th scope="row">
        <Link to="/partitions/$id" params={{ id: String(row.partitionId) }}>
          P{row.partitionId}
        </Link>
      </th>
      <td>{row.kind}</td>
      <td className="nowrap">
        {row.leader === null ? (
          <span className="state">
            <Mark tone="moving" /> electing
          </span>
        ) : (
          nameOf(row.leader.nodeId)
        )}
        {then?.leader != null && then.leader.nodeId !== row.leader?.nodeId && (
          <span className="delta"> was {nameOf(then.leader.nodeId)}</span>
        )}
      </td>
      <td className="nowrap" title={row.flags.join(', ')}>
        <span className="state">
          {hasProblem(row) && <Mark tone="warning" label="problem" />}
          {row.flags.join(', ')}
        </span>
      </td>
      <td className="num">{row.leader === null ? '–' : <Since ms={row.leader.sinceMs} />}</td>
      <td className="num">
        <Delta now={row.term} then={then?.term} />
        {row.term}
      </td>
      <td className="nowrap">
        {row.replicas
          .map(r => `${nameOf(r.nodeId)} ${r.nodeId === row.leader?.nodeId ? 'L' : r.role === 'Learner' ? 'n' : 'v'}`)
          .join(', ')}
      </td>
      <td className="num">{lag === null ? '–' : integer(lag)}</td>
      <td className="num">
        <Delta now={row.load.readsPerSec} then={then?.load.readsPerSec} />
        {rate(row.load.readsPerSec)}
      </td>
      <td className="num">
        <Delta now={row.load.writesPerSec} then={then?.load.writesPerSec} />
        {rate(row.load.writesPerSec)}
      </td>
      <td className="num">
        <Delta now={row.commitIndex} then={then?.commitIndex} />
        {integer(row.commitIndex)}
      </td>
      <td className="num">
        <Delta now={row.size.keys} then={then?.size.keys} />
        {integer(row.size.keys)}
      </td>
    </tr>
  );
});
