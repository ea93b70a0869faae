import { Link } from '@tanstack/react-router';
import { ageText } from '../format/time.ts';
import { useConnection, useFeed, useFreshness, useRows } from '../live/use-live.ts';
import { OPERATION_TITLE } from '../operations/kinds.ts';
import { Progress } from '../operations/operation-state.tsx';
import type { SourceAge } from '../protocol/messages.ts';
import { Mark } from '../ui/marks.tsx';

/** Whose view this is, and how old its newest and oldest facts are (console §3). */
export function StatusBar() {
  const { welcome, sources } = useConnection();
  return (
    <footer className="status">
      {welcome !== undefined && (
        <span className="optional">{welcome.user.level} level · anyone who reaches this port has it, and the API is open</span>
      )}
      <RunningOperations />
      <span className="space" />
      {welcome !== undefined && <span>view from {welcome.node.name}</span>}
      <SourceAges sources={sources} />
      {welcome !== undefined && <span className="optional">Kahuna {welcome.serverVersion}</span>}
    </footer>
  );
}

const SHOWN_OPERATIONS = 3;

/** What somebody started and is not over yet, the newest three (console §3). */
function RunningOperations() {
  const running = useRows(useFeed('operations'))
    .filter(o => o.state === 'running')
    .sort((a, b) => b.startedMs - a.startedMs);
  if (running.length === 0) return null;
  return (
    <span className="operations-running">
      {running.slice(0, SHOWN_OPERATIONS).map(report => (
        <Link key={report.operationId} to="/operations/$" params={{ _splat: report.operationId }}>
          <Mark tone="moving" size={10} /> {OPERATION_TITLE[report.kind]} {report.subject} <Progress report={report} />
        </Link>
      ))}
      {running.length > SHOWN_OPERATIONS && <span>+{running.length - SHOWN_OPERATIONS}</span>}
    </span>
  );
}

function SourceAges({ sources }: { sources: readonly SourceAge[] }) {
  const others = sources.filter(s => s.state !== 'self');
  const missing = others.filter(s => s.ageMs === null);
  const known = others.filter(s => s.ageMs !== null).sort((a, b) => (a.ageMs ?? 0) - (b.ageMs ?? 0));
  const oldest = known[known.length - 1];
  if (sources.length === 0) return null;
  if (others.length === 0) return <span>only node</span>;
  return (
    <>
      {oldest !== undefined && <Oldest nodeId={oldest.nodeId} />}
      {missing.length > 0 && (
        <span className="never-reported">
          {missing.length} of {sources.length} nodes never reported
        </span>
      )}
    </>
  );
}

function Oldest({ nodeId }: { nodeId: number }) {
  const freshness = useFreshness(nodeId);
  const name = useRows(useFeed('nodes')).find(n => n.nodeId === nodeId)?.name ?? `node ${nodeId}`;
  return (
    <span data-testid="oldest-source">
      oldest source {name} {freshness.ageMs === null ? 'unknown' : ageText(freshness.ageMs)}
    </span>
  );
}
