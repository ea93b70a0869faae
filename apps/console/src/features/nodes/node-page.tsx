import './nodes.css';
import { getRouteApi, Link } from '@tanstack/react-router';
import { Page } from '../../app/page.tsx';
import { bytes, integer, millis, percent, plural, rate, signedMillis } from '../../format/numbers.ts';
import { useFeed, useFreshness, usePhase, useRow, useRows } from '../../live/use-live.ts';
import type { NodeRow } from '../../protocol/messages.ts';
import { Instant, StaleNote } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { EventList } from '../events/event-list.tsx';
import { NODE_TONE, NODE_WORD } from './nodes-table.tsx';

const route = getRouteApi('/nodes/$id');

/** One process: vitals, what it hosts, can it stop (console §6.5). */
export function NodePage() {
  const { id } = route.useParams();
  const feed = useFeed('nodes');
  const node = useRow(feed, id);
  const phase = usePhase(feed);
  return (
    <Page title={node?.name ?? `Node ${id}`} tools={<Link to="/nodes">all nodes</Link>}>
      {node === undefined ? (
        phase === 'loading' ? (
          <Waiting height={240} what="the node" />
        ) : (
          <p className="note">The cluster has no member {id}.</p>
        )
      ) : (
        <div className="stack">
          <div className="cards">
            <IdentityCard node={node} />
            <VitalsCard node={node} />
            <StopCard node={node} />
          </div>
          <LeadsCard node={node} />
          <Panel title="History">
            <EventList filter={{ subject: [`node/${id}`] }} limit={50} />
          </Panel>
        </div>
      )}
    </Page>
  );
}

function IdentityCard({ node }: { node: NodeRow }) {
  const freshness = useFreshness(node.nodeId);
  return (
    <Panel title="Process" aside={<StaleNote freshness={freshness} />}>
      <dl className="facts">
        <dt>state</dt>
        <dd>
          <Mark tone={NODE_TONE[node.state]} size={10} /> {NODE_WORD[node.state]}
        </dd>
        <dt>role</dt>
        <dd>{node.role}</dd>
        <dt>endpoint</dt>
        <dd className="mono">{node.endpoint}</dd>
        <dt>version</dt>
        <dd>{node.version ?? '–'}</dd>
        <dt>running since</dt>
        <dd>
          <Instant ms={node.startedMs} />
        </dd>
        <dt>fault</dt>
        <dd>{node.fatalFault ?? 'none reported'}</dd>
        {node.consoleUrl !== null && (
          <>
            <dt>its own console</dt>
            <dd>
              <a href={node.consoleUrl}>open</a>
            </dd>
          </>
        )}
      </dl>
    </Panel>
  );
}

function VitalsCard({ node }: { node: NodeRow }) {
  return (
    <Panel title="Vitals">
      <dl className="facts">
        <dt>reads, writes</dt>
        <dd>
          {rate(node.traffic.readsPerSec)}, {rate(node.traffic.writesPerSec)}
        </dd>
        <dt>log write p99</dt>
        <dd>{millis(node.disk.fsyncP99Ms)}</dd>
        <dt>processor</dt>
        <dd>{percent(node.cpu)}</dd>
        <dt>event loop p99</dt>
        <dd>{millis(node.eventLoopP99Ms)}</dd>
        <dt>memory</dt>
        <dd>{bytes(node.rssBytes)}</dd>
        <dt>requests waiting</dt>
        <dd>{integer(node.queues.client)}</dd>
        <dt>clock difference</dt>
        <dd>{signedMillis(node.clock.offsetMs)}</dd>
        <dt>peer traffic in, out</dt>
        <dd>
          {node.net.inBytesPerSec === null ? '–' : `${bytes(node.net.inBytesPerSec)}/s`},{' '}
          {node.net.outBytesPerSec === null ? '–' : `${bytes(node.net.outBytesPerSec)}/s`}
        </dd>
      </dl>
    </Panel>
  );
}

function StopCard({ node }: { node: NodeRow }) {
  const verdict = node.safeToStop;
  return (
    <Panel title="Safe to stop?">
      <div className="body">
        {node.state === 'dead' ? (
          <p>
            <Mark tone="critical" /> It does not answer: it has stopped, or cannot be reached from here.
          </p>
        ) : verdict === null ? (
          <p>Not known: no replica has told who its peers are.</p>
        ) : verdict.ok ? (
          <p>
            <Mark tone="good" /> <strong>Yes.</strong> Every partition keeps a quorum of reachable replicas without it.{' '}
            {(node.leads ?? 0) > 0 && `It leads ${plural(node.leads ?? 0, 'partition')}; those elect a new leader first.`}
          </p>
        ) : (
          <>
            <p>
              <Mark tone="warning" /> <strong>No.</strong>
            </p>
            <ul>
              {verdict.why.map(why => (
                <li key={why}>{why}</li>
              ))}
            </ul>
          </>
        )}
      </div>
    </Panel>
  );
}

function LeadsCard({ node }: { node: NodeRow }) {
  const led = useRows(useFeed('partitions')).filter(p => p.leader?.nodeId === node.nodeId);
  return (
    <Panel
      title={`Leads ${plural(led.length, 'partition')}`}
      aside={<span className="muted small">hosts {integer(node.hosts)}</span>}
    >
      {led.length === 0 ? (
        <p className="note">None at the moment.</p>
      ) : (
        <div className="chips">
          {led.slice(0, 400).map(p => (
            <Link key={p.partitionId} to="/partitions/$id" params={{ id: String(p.partitionId) }}>
              P{p.partitionId}
            </Link>
          ))}
          {led.length > 400 && <span className="muted">and {led.length - 400} more: see Partitions</span>}
        </div>
      )}
    </Panel>
  );
}
