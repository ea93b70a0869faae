import './nodes.css';
import { Link } from '@tanstack/react-router';
import { bytes, integer, millis, percent, rate, signedMillis } from '../../format/numbers.ts';
import {
  type Feed,
  useConnection,
  useFeed,
  useFreshness,
  useKeys,
  useMarked,
  usePhase,
  useRow,
  useRows,
} from '../../live/use-live.ts';
import type { NodeRow, NodeState } from '../../protocol/messages.ts';
import { StaleNote } from '../../ui/ages.tsx';
import { Delta } from '../../ui/delta.tsx';
import { Mark, type Tone } from '../../ui/marks.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { useVitalLines, type VitalLines, WithLine } from './vital-lines.tsx';

export const NODE_TONE: Readonly<Record<NodeState, Tone>> = {
  self: 'good',
  live: 'good',
  suspect: 'warning',
  dead: 'critical',
  unknown: 'unknown',
};

export const NODE_WORD: Readonly<Record<NodeState, string>> = {
  self: 'live',
  live: 'live',
  suspect: 'suspect',
  dead: 'dead',
  unknown: 'not heard yet',
};

/** Nodes side by side, so that the odd one stands out (console §6.5). `wide` adds what the overview has no room for. */
export function NodesTable({ wide = false }: { wide?: boolean }) {
  const feed = useFeed('nodes');
  const keys = useKeys(feed);
  const most = Math.max(1, ...useRows(feed).map(n => n.leads ?? 0));
  const lines = useVitalLines();
  if (usePhase(feed) === 'loading') return <Waiting height={120} what="the nodes" />;
  return (
    <div className="scroll-x">
      <table className="grid nodes" aria-label="Nodes">
        <thead>
          <tr>
            <th scope="col">node</th>
            <th scope="col">state</th>
            <th scope="col">leads</th>
            <th scope="col" className="num">
              hosts
            </th>
            <th scope="col" className="num">
              reads
            </th>
            <th scope="col" className="num">
              writes
            </th>
            {wide && (
              <>
                <th scope="col" className="num">
                  cpu
                </th>
                <th scope="col" className="num">
                  memory
                </th>
                <th scope="col" className="num">
                  loop p99
                </th>
              </>
            )}
            <th scope="col" className="num">
              log p99
            </th>
            <th scope="col" className="num">
              clock
            </th>
            {wide && (
              <th scope="col" className="num">
                in / out
              </th>
            )}
            {wide && <th scope="col">safe to stop</th>}
          </tr>
        </thead>
        <tbody>
          {keys.map(key => (
            <NodeLine key={key} feed={feed} nodeKey={key} most={most} wide={wide} lines={lines} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface LineProps {
  readonly feed: Feed<NodeRow>;
  readonly nodeKey: string;
  readonly most: number;
  readonly wide: boolean;
  /** The hour behind the numbers. */
  readonly lines: VitalLines;
}

function NodeLine({ feed, nodeKey, most, wide, lines }: LineProps) {
  const node = useRow(feed, nodeKey);
  const then = useMarked(feed)?.get(nodeKey);
  const freshness = useFreshness(Number(nodeKey));
  const { welcome } = useConnection();
  if (node === undefined) return null;
  const lost = freshness.level === 'lost';
  const shown = (text: string) => (lost ? <span title={`last known: ${text}`}>–</span> : text);
  const leads = node.leads ?? 0;
  return (
    <tr aria-label={node.name} data-stale={freshness.level} data-node-state={node.state}>
      <th scope="row" className="nowrap">
        <Link to="/nodes/$id" params={{ id: String(node.nodeId) }}>
          {node.name}
        </Link>
        {welcome?.node.nodeId === node.nodeId && <span className="here">you are here</span>}
      </th>
      <td className="nowrap">
        <span className="state">
          <Mark tone={NODE_TONE[node.state]} size={10} />
          {NODE_WORD[node.state]}
          <StaleNote freshness={freshness} />
        </span>
      </td>
      <td>
        <span className="leads" title={`${node.name} leads ${leads} partitions`}>
          <span className="count" data-testid={`leads-${node.name}`}>
            <Delta now={node.leads} then={then?.leads} />
            {integer(node.leads)}
          </span>
          <span className="bar" aria-hidden="true">
            <span style={{ width: `${(leads / most) * 100}%` }} />
          </span>
        </span>
      </td>
      <td className="num">{integer(node.hosts)}</td>
      <td className="num">
        <WithLine lines={lines} nodeId={node.nodeId} vital="reads">
          <Delta now={node.traffic.readsPerSec} then={then?.traffic.readsPerSec} />
          {shown(rate(node.traffic.readsPerSec))}
        </WithLine>
      </td>
      <td className="num">
        <WithLine lines={lines} nodeId={node.nodeId} vital="writes">
          <Delta now={node.traffic.writesPerSec} then={then?.traffic.writesPerSec} />
          {shown(rate(node.traffic.writesPerSec))}
        </WithLine>
      </td>
      {wide && (
        <>
          <td className="num">
            <WithLine lines={lines} nodeId={node.nodeId} vital="cpu">
              {shown(percent(node.cpu))}
            </WithLine>
          </td>
          <td className="num">
            <Delta now={node.rssBytes} then={then?.rssBytes} format={bytes} />
            {shown(bytes(node.rssBytes))}
          </td>
          <td className="num">
            <WithLine lines={lines} nodeId={node.nodeId} vital="eventLoopP99Ms">
              {shown(millis(node.eventLoopP99Ms))}
            </WithLine>
          </td>
        </>
      )}
      <td className="num" title="time until a batch is durable in the log, p99 of the last 10 s">
        <WithLine lines={lines} nodeId={node.nodeId} vital="logP99Ms">
          {shown(millis(node.disk.fsyncP99Ms))}
        </WithLine>
      </td>
      <td className="num" title="difference to the clock of the node you are on">
        {shown(signedMillis(node.clock.offsetMs))}
      </td>
      {wide && (
        <td className="num">
          {shown(
            node.net.inBytesPerSec === null ? '–' : `${bytes(node.net.inBytesPerSec)}/s / ${bytes(node.net.outBytesPerSec)}/s`,
          )}
        </td>
      )}
      {wide && (
        <td className="nowrap" title={node.safeToStop?.why[0]}>
          {node.safeToStop === null || node.state === 'dead' ? '–' : node.safeToStop.ok ? 'yes' : 'no'}
        </td>
      )}
    </tr>
  );
}
