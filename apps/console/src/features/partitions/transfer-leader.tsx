import { useState } from 'react';
import { useFeed, useMay, useRows } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import type { LeaderCell, PartitionDetailRow } from '../../protocol/messages.ts';

/** Hands the leadership of a partition to one of its other voters (console §7.2). */
export function TransferLeader({ row }: { row: PartitionDetailRow }) {
  const nodes = useRows(useFeed('nodes'));
  const may = useMay('operator');
  const [chosen, setChosen] = useState<{ readonly to: number; readonly seen: LeaderCell }>();
  const { leader } = row;
  const nameOf = (id: number) => nodes.find(n => n.nodeId === id)?.name ?? `node ${id}`;
  const others = row.replicas.filter(r => r.role === 'Voter' && r.nodeId !== leader?.nodeId);
  return (
    <>
      <div className="panel-actions">
        {others.map(replica => (
          <button
            key={replica.nodeId}
            type="button"
            className="text-button"
            disabled={!may || leader === null}
            title={may ? undefined : 'Needs operator and a live connection'}
            onClick={() => leader !== null && setChosen({ to: replica.nodeId, seen: leader })}
          >
            Transfer to {nameOf(replica.nodeId)}…
          </button>
        ))}
      </div>
      {chosen !== undefined && (
        <ActionDialog
          title={`Let ${nameOf(chosen.to)} lead partition ${row.partitionId}?`}
          verb="Transfer"
          request={{
            kind: 'transfer-leader',
            params: { partitionId: row.partitionId, toNodeId: chosen.to },
            expect: { leaderNodeId: chosen.seen.nodeId, term: chosen.seen.term },
          }}
          onClose={() => setChosen(undefined)}
        />
      )}
    </>
  );
}
