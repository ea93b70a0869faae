import { useLayoutEffect, useRef, useState } from 'react';
import { integer, rate } from '../../format/numbers.ts';
import { type Feed, useFreshness, useRow } from '../../live/use-live.ts';
import type { PartitionRow } from '../../protocol/messages.ts';
import { Since, StaleNote } from '../../ui/ages.tsx';
import { useNodeName } from '../nodes/use-node-name.ts';

interface CardProps {
  readonly feed: Feed<PartitionRow>;
  readonly partitionId: string;
  readonly nodeId: number;
  readonly anchor: HTMLElement;
}

/** Role, term, lag, load and age of one replica: the same for the pointer and for the keyboard. */
export function CellCard({ feed, partitionId, nodeId, anchor }: CardProps) {
  const row = useRow(feed, partitionId);
  const name = useNodeName(nodeId);
  const leader = useNodeName(row?.leader?.nodeId ?? null);
  const freshness = useFreshness(row?.source ?? nodeId);
  const card = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ left: -9999, top: 0 });
  useLayoutEffect(() => {
    const at = anchor.getBoundingClientRect();
    const size = card.current?.getBoundingClientRect();
    const width = size?.width ?? 240;
    const height = size?.height ?? 160;
    const below = at.bottom + 6 + height < window.innerHeight;
    setPlace({
      left: Math.max(6, Math.min(at.left, window.innerWidth - width - 6)),
      top: below ? at.bottom + 6 : at.top - height - 6,
    });
  }, [anchor]);
  if (row === undefined) return null;
  const replica = row.replicas.find(r => r.nodeId === nodeId);
  return (
    <div className="cell-card" ref={card} style={place} role="status" aria-label="Replica">
      <strong>
        Partition {partitionId} on {name}
      </strong>
      <dl>
        <dt>role</dt>
        <dd>{row.leader?.nodeId === nodeId ? 'leader' : (replica?.role.toLowerCase() ?? 'no replica here')}</dd>
        <dt>leader</dt>
        <dd>{row.leader === null ? 'none, electing' : leader}</dd>
        <dt>term</dt>
        <dd>
          {row.term}
          {row.leader !== null && (
            <span className="muted">
              {' '}
              since <Since ms={row.leader.sinceMs} />
            </span>
          )}
        </dd>
        <dt>lag</dt>
        <dd>{replica?.lag === null || replica === undefined ? '–' : `${integer(replica.lag)} entries`}</dd>
        <dt>load</dt>
        <dd>
          {rate(row.load.readsPerSec)} reads, {rate(row.load.writesPerSec)} writes
        </dd>
        <dt>quorum</dt>
        <dd>{row.quorum === null ? '–' : `needs ${row.quorum.needed}, has ${row.quorum.reachable}`}</dd>
      </dl>
      <StaleNote freshness={freshness} />
    </div>
  );
}
