import { Link } from '@tanstack/react-router';
import { integer, rate } from '../../format/numbers.ts';
import { useFeed, useFreshness, useRows } from '../../live/use-live.ts';
import type { PartitionRow } from '../../protocol/messages.ts';
import { Since } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { hasProblem } from '../map/cell-model.ts';
import { COLUMNS, maxLag } from './columns.ts';

interface TableProps {
  readonly rows: readonly PartitionRow[];
  readonly sort?: string | undefined;
  readonly descending?: boolean;
  readonly onSort?: (column: string) => void;
}

/** Every partition as a row of a real table: what the map draws, in words and numbers. */
export function PartitionsTable({ rows, sort, descending = false, onSort }: TableProps) {
  const nodes = useRows(useFeed('nodes'));
  const nameOf = (id: number) => nodes.find(n => n.nodeId === id)?.name ?? `node ${id}`;
  return (
    <div className="scroll-x">
      <table className="grid" aria-label="Partitions" aria-rowcount={rows.length + 1}>
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
          {rows.map(row => (
            <PartitionLine key={row.partitionId} row={row} nameOf={nameOf} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PartitionLine({ row, nameOf }: { row: PartitionRow; nameOf: (id: number) => string }) {
  const freshness = useFreshness(row.source);
  const lag = maxLag(row);
  return (
    <tr aria-label={`partition ${row.partitionId}`} data-stale={freshness.level}>
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
      </td>
      <td className="num">{row.leader === null ? '–' : <Since ms={row.leader.sinceMs} />}</td>
      <td className="num">{row.term}</td>
      <td className="nowrap">
        {row.replicas
          .map(r => `${nameOf(r.nodeId)} ${r.nodeId === row.leader?.nodeId ? 'L' : r.role === 'Learner' ? 'n' : 'v'}`)
          .join(', ')}
      </td>
      <td className="num">{lag === null ? '–' : integer(lag)}</td>
      <td className="num">{rate(row.load.readsPerSec)}</td>
      <td className="num">{rate(row.load.writesPerSec)}</td>
      <td className="num">{integer(row.commitIndex)}</td>
      <td className="num">{integer(row.size.keys)}</td>
      <td className="nowrap">
        <span className="state">
          {hasProblem(row) && <Mark tone="warning" label="problem" />}
          {row.flags.join(', ')}
        </span>
      </td>
    </tr>
  );
}
