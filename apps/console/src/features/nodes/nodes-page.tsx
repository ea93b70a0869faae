import { Page } from '../../app/page.tsx';
import { millis } from '../../format/numbers.ts';
import { duration } from '../../format/time.ts';
import { useFeed, useFreshness, useRows } from '../../live/use-live.ts';
import type { ReachRow } from '../../protocol/messages.ts';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { NodesTable } from './nodes-table.tsx';
import { RebalanceButton } from './rebalance.tsx';

/** Vitals side by side, and who reaches whom (console §6.5). */
export function NodesPage() {
  return (
    <Page title="Nodes" tools={<RebalanceButton />}>
      <div className="stack">
        <Panel title="Vitals">
          <NodesTable wide />
        </Panel>
        <Panel
          title="Reachability"
          aside={<span className="muted small">row: as this node sees it · round trip between heartbeats</span>}
        >
          <ReachMatrix />
        </Panel>
      </div>
    </Page>
  );
}

function ReachMatrix() {
  const nodes = useRows(useFeed('nodes'));
  const reach = useRows(useFeed('reach'));
  if (nodes.length < 2) return <p className="note">There is no other node to reach.</p>;
  return (
    <div className="scroll-x">
      <table className="grid reach" aria-label="Reachability">
        <thead>
          <tr>
            <th scope="col">from</th>
            {nodes.map(n => (
              <th key={n.nodeId} scope="col" className="num">
                to {n.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map(from => (
            <ReachLine
              key={from.nodeId}
              from={from.nodeId}
              name={from.name}
              cells={nodes.map(to => ({ to: to.nodeId, row: reach.find(r => r.from === from.nodeId && r.to === to.nodeId) }))}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface ReachLineProps {
  readonly from: number;
  readonly name: string;
  readonly cells: readonly { readonly to: number; readonly row: ReachRow | undefined }[];
}

function ReachLine({ from, name, cells }: ReachLineProps) {
  const freshness = useFreshness(from);
  return (
    <tr data-stale={freshness.level}>
      <th scope="row">{name}</th>
      {cells.map(({ to, row }) =>
        to === from ? (
          <td key={to} data-state="self">
            ·
          </td>
        ) : (
          <td key={to} className="nowrap">
            <ReachCell row={row} />
          </td>
        ),
      )}
    </tr>
  );
}

function ReachCell({ row }: { row: ReachRow | undefined }) {
  if (row === undefined) return <span title="it has not told">–</span>;
  if (row.connected) return <>{millis(row.rttMs)}</>;
  return (
    <>
      <Mark tone="critical" /> down
      {row.lastHeardAgoMs !== null && <span className="muted"> {duration(row.lastHeardAgoMs)}</span>}
    </>
  );
}
