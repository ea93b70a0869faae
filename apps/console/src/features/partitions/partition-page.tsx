import '../nodes/nodes.css';
import { getRouteApi, Link } from '@tanstack/react-router';
import { Page } from '../../app/page.tsx';
import { integer, plural, rate } from '../../format/numbers.ts';
import { useFeed, usePhase, useRow, useRows } from '../../live/use-live.ts';
import type { PartitionDetailRow } from '../../protocol/messages.ts';
import { Since } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { EventList } from '../events/event-list.tsx';
import { LoadCharts } from './load-charts.tsx';
import { LogRuler } from './log-ruler.tsx';
import { TransferLeader } from './transfer-leader.tsx';

const route = getRouteApi('/partitions/$id');

/** One Raft group (console §6.4). */
export function PartitionPage() {
  const { id } = route.useParams();
  const partitionId = /^\d+$/.test(id) ? Number(id) : -1;
  const feed = useFeed('partition', { partitionId });
  const row = useRow(feed, String(partitionId));
  const phase = usePhase(feed);
  return (
    <Page title={`Partition ${id}`} tools={<Link to="/partitions">all partitions</Link>}>
      {row === undefined ? (
        phase === 'loading' ? (
          <Waiting height={240} what={`partition ${id}`} />
        ) : (
          <p className="note">No node that answers knows a partition {id}.</p>
        )
      ) : (
        <div className="stack">
          <div className="cards">
            <GroupCard row={row} />
            <LogCard row={row} />
          </div>
          <LoadCharts partitionId={partitionId} />
          <ReplicasCard row={row} />
          <Panel title="History">
            <EventList filter={{ subject: [`partition/${id}`] }} limit={50} />
          </Panel>
        </div>
      )}
    </Page>
  );
}

function GroupCard({ row }: { row: PartitionDetailRow }) {
  const nodes = useRows(useFeed('nodes'));
  const leader = nodes.find(n => n.nodeId === row.leader?.nodeId);
  return (
    <Panel title="Group">
      <dl className="facts">
        <dt>kind</dt>
        <dd>{row.kind}</dd>
        <dt>leader</dt>
        <dd>
          {row.leader === null ? (
            <>
              <Mark tone="moving" /> none, an election is under way
            </>
          ) : (
            <>
              <Link to="/nodes/$id" params={{ id: String(row.leader.nodeId) }}>
                {leader?.name ?? `node ${row.leader.nodeId}`}
              </Link>{' '}
              <span className="muted">
                for <Since ms={row.leader.sinceMs} />
              </span>
            </>
          )}
        </dd>
        <dt>term</dt>
        <dd>{row.term}</dd>
        <dt>quorum</dt>
        <dd>
          {row.quorum === null
            ? '–'
            : `needs ${row.quorum.needed} of ${plural(row.replicas.length, 'replica')}, has ${row.quorum.reachable}`}
        </dd>
        <dt>load</dt>
        <dd>
          {rate(row.load.readsPerSec)} reads, {rate(row.load.writesPerSec)} writes, {integer(row.load.clientQueue)} queued
        </dd>
        <dt>keys</dt>
        <dd>
          {integer(row.size.keys)} {row.size.approximate && <span className="muted">as a follower counts</span>}
        </dd>
        <dt>flags</dt>
        <dd>{row.flags.length === 0 ? 'none' : row.flags.join(', ')}</dd>
      </dl>
      <TransferLeader row={row} />
    </Panel>
  );
}

function LogCard({ row }: { row: PartitionDetailRow }) {
  return (
    <Panel title="Log">
      <LogRuler row={row} />
      <dl className="facts">
        <dt>first entry kept</dt>
        <dd>{integer(row.firstIndex)}</dd>
        <dt>commit index</dt>
        <dd>{integer(row.commitIndex)}</dd>
        <dt>applied index</dt>
        <dd>{integer(row.appliedIndex)}</dd>
        <dt>in the engine up to</dt>
        <dd>{integer(row.durableIndex)}</dd>
        <dt>replicas agree</dt>
        <dd>
          {row.checksum === null ? (
            'not compared yet'
          ) : row.checksum.ok ? (
            `yes, at index ${integer(row.checksum.index)}`
          ) : (
            <>
              <Mark tone="critical" /> no, they differ at index {integer(row.checksum.index)}
            </>
          )}
        </dd>
      </dl>
    </Panel>
  );
}

function ReplicasCard({ row }: { row: PartitionDetailRow }) {
  const nodes = useRows(useFeed('nodes'));
  const nameOf = (id: number) => nodes.find(n => n.nodeId === id)?.name ?? `node ${id}`;
  return (
    <Panel
      title="Replicas"
      aside={<span className="muted small">progress as the leader sees it; indexes as each replica tells</span>}
    >
      <div className="scroll-x">
        <table className="grid" aria-label="Replicas">
          <thead>
            <tr>
              {['node', 'role', 'replication', 'lag', 'term', 'follows', 'applied', 'last'].map((title, i) => (
                <th key={title} scope="col" className={i >= 3 && i !== 5 ? 'num' : undefined}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {row.replicas.map(replica => {
              const report = row.reports.find(r => r.nodeId === replica.nodeId);
              return (
                <tr key={replica.nodeId}>
                  <th scope="row">
                    <Link to="/nodes/$id" params={{ id: String(replica.nodeId) }}>
                      {nameOf(replica.nodeId)}
                    </Link>
                  </th>
                  <td>{report?.role ?? replica.role.toLowerCase()}</td>
                  <td>{replica.state === 'unknown' ? '–' : replica.state}</td>
                  <td className="num">{integer(replica.lag)}</td>
                  <td className="num">{report?.term ?? '–'}</td>
                  <td>
                    {report === undefined ? '–' : report.believesLeader === null ? 'nobody' : nameOf(report.believesLeader)}
                  </td>
                  <td className="num">{integer(report?.appliedIndex)}</td>
                  <td className="num">{integer(report?.lastIndex)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
