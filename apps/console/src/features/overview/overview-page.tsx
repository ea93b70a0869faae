import './overview.css';
import { Popover } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense, useState } from 'react';
import { Page } from '../../app/page.tsx';
import { SEVERITY_TONE, VERDICT_TONE } from '../../app/verdict.ts';
import { integer, millis, rate } from '../../format/numbers.ts';
import { useFeed, useHeldRows, useMarked, usePhase, useRow, useRows } from '../../live/use-live.ts';
import type { OverviewRow, ProblemRow } from '../../protocol/messages.ts';
import { Instant, Since } from '../../ui/ages.tsx';
import { Delta } from '../../ui/delta.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { NodesTable } from '../nodes/nodes-table.tsx';
import { BusiestPanel } from './busiest-panel.tsx';

const TrafficCharts = lazy(() => import('./traffic-charts.tsx').then(m => ({ default: m.TrafficCharts })));

/** Is it healthy, what needs me, what changed (console §6.1). */
export function OverviewPage() {
  const overview = useRow(useFeed('overview'), 'overview');
  return (
    <Page title="Overview">
      <VerdictLine overview={overview} />
      <div className="overview">
        <div className="overview-side">
          <Problems />
          <Timeline />
        </div>
        <div className="overview-main">
          <Figures overview={overview} />
          <Suspense fallback={<Waiting height={232} what="the charts" />}>
            <TrafficCharts />
          </Suspense>
          <NodesPanel overview={overview} />
          <BusiestPanel />
        </div>
      </div>
    </Page>
  );
}

function VerdictLine({ overview }: { overview: OverviewRow | undefined }) {
  const problems = useRows(useFeed('problems'));
  // What is merely worth knowing needs nothing done about it now.
  const advice = problems.flatMap(p => (p.severity === 'info' ? [] : p.advice.map(a => ({ ...a, title: p.title, id: p.id }))));
  const [isAdviceOpen, setAdviceOpen] = useState(false);
  useHeldRows(isAdviceOpen && advice.length > 0);
  if (overview === undefined) return <Waiting height={46} what="the verdict" />;
  const tone = VERDICT_TONE[overview.verdict];
  return (
    <section className="verdict" data-tone={tone} aria-label="Verdict">
      <Mark tone={tone} size={16} />
      <strong>{overview.verdict}</strong>
      <span className="muted nowrap">
        for {overview.sinceAtLeast === true && 'at least '}
        <Since ms={overview.sinceMs} />
      </span>
      <span className="sentence">{overview.sentence}</span>
      {advice.length > 0 && (
        <Popover width={380} position="bottom-end" shadow="sm" opened={isAdviceOpen} onChange={setAdviceOpen}>
          <Popover.Target>
            <button
              type="button"
              className="text-button"
              aria-expanded={isAdviceOpen}
              onClick={() => setAdviceOpen(!isAdviceOpen)}
            >
              What to do
            </button>
          </Popover.Target>
          <Popover.Dropdown>
            <ul className="advice">
              {advice.slice(0, 6).map(a => (
                <li key={a.id}>
                  <span className="muted small">{a.title}</span>
                  <br />
                  {a.link === null ? a.text : <Link to={a.link}>{a.text}</Link>}
                </li>
              ))}
            </ul>
          </Popover.Dropdown>
        </Popover>
      )}
    </section>
  );
}

function Figures({ overview }: { overview: OverviewRow | undefined }) {
  const then = useMarked(useFeed('overview'));
  if (overview === undefined) return <Waiting height={66} what="the figures" />;
  const { traffic, partitions, nodes, notCounted } = overview;
  const before = then?.get('overview')?.traffic;
  const least = notCounted.length > 0 ? '≥ ' : '';
  const known = (text: string) => (text.startsWith('–') ? text : least + text);
  return (
    <dl className="figures panel">
      <Figure
        name="Reads"
        value={known(rate(traffic.readsPerSec))}
        delta={<Delta now={traffic.readsPerSec} then={before?.readsPerSec} />}
        hint="sum over the leaders, last 1 to 2 s"
      />
      <Figure
        name="Writes"
        value={known(rate(traffic.writesPerSec))}
        delta={<Delta now={traffic.writesPerSec} then={before?.writesPerSec} />}
        hint="sum over the leaders, last 1 to 2 s"
      />
      <Figure
        name="Read p99"
        value={millis(traffic.p99Ms.read)}
        delta={<Delta now={traffic.p99Ms.read} then={before?.p99Ms.read} />}
        hint="slowest node, last 10 s"
      />
      <Figure
        name="Write p99"
        value={millis(traffic.p99Ms.write)}
        delta={<Delta now={traffic.p99Ms.write} then={before?.p99Ms.write} />}
        hint="slowest node, last 10 s"
      />
      <Figure name="Retries" value={known(rate(traffic.retriesPerSec))} hint="answers MustRetry, all nodes" />
      <Figure
        name="Partitions led"
        value={`${integer(partitions.withLeader)} of ${integer(partitions.total)}`}
        hint="partitions that have a leader"
        alarming={partitions.withLeader < partitions.total}
      />
      <Figure
        name="Nodes up"
        value={`${nodes.reachable} of ${nodes.voters}`}
        hint="voters that answer this node"
        alarming={nodes.reachable < nodes.voters}
      />
    </dl>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly hint: string;
  readonly delta?: ReactNode;
  readonly alarming?: boolean;
}

function Figure({ name, value, hint, delta, alarming = false }: FigureProps) {
  return (
    <div title={hint}>
      <dt>{name}</dt>
      <dd>
        {value}
        {alarming && <Mark tone="warning" />} {delta}
      </dd>
    </div>
  );
}

function Problems() {
  const feed = useFeed('problems');
  const problems = useRows(feed);
  const phase = usePhase(feed);
  const sorted = [...problems].sort((a, b) => RANK[b.severity] - RANK[a.severity] || a.since - b.since);
  return (
    <Panel title="Problems" aside={<ProblemCount problems={problems} />}>
      {phase === 'loading' && <Waiting height={60} what="the problems" />}
      {phase === 'ready' && problems.length === 0 && <p className="note">None known to this node.</p>}
      <ul className="problems" aria-label="Problems">
        {sorted.map(p => (
          <li key={p.id}>
            <Mark tone={SEVERITY_TONE[p.severity]} label={p.severity} />
            <div>
              <div className="line">
                <ProblemTitle problem={p} />
                <span
                  className="muted small nowrap"
                  title={p.sinceAtLeast === true ? 'It was there before a console was opened' : undefined}
                >
                  {p.sinceAtLeast === true && '≥ '}
                  <Since ms={p.since} />
                </span>
              </div>
              <p className="muted small">{p.impact}</p>
              {p.cause !== null && <p className="muted small">{p.cause}</p>}
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

const RANK = { critical: 2, warning: 1, info: 0 } as const;

function ProblemTitle({ problem }: { problem: ProblemRow }) {
  const link = problem.advice[0]?.link;
  return link === null || link === undefined ? <span>{problem.title}</span> : <Link to={link}>{problem.title}</Link>;
}

function ProblemCount({ problems }: { problems: readonly ProblemRow[] }) {
  const count = (severity: ProblemRow['severity']) => problems.filter(p => p.severity === severity).length;
  const parts = [
    [count('critical'), 'critical'],
    [count('warning'), 'warning'],
    [count('info'), 'information'],
  ].filter(([n]) => n !== 0);
  return <span className="muted small">{parts.map(([n, word]) => `${n} ${word}`).join(' · ')}</span>;
}

function Timeline() {
  const feed = useFeed('events');
  const events = useRows(feed);
  const phase = usePhase(feed);
  return (
    <Panel title="Timeline" aside={<Link to="/events">all events</Link>}>
      {phase === 'loading' && <Waiting height={120} what="the events" />}
      {phase === 'ready' && events.length === 0 && <p className="note">Nothing has been recorded since this node started.</p>}
      <ol className="timeline" aria-label="Newest events">
        {events
          .slice(-12)
          .reverse()
          .map(event => (
            <li key={event.seq}>
              <span className="muted">
                <Instant ms={event.atMs} />
              </span>
              {event.severity === 'info' ? (
                <span />
              ) : (
                <Mark tone={SEVERITY_TONE[event.severity]} label={event.severity} size={10} />
              )}
              <span>{event.text}</span>
            </li>
          ))}
      </ol>
    </Panel>
  );
}

function NodesPanel({ overview }: { overview: OverviewRow | undefined }) {
  const spread = overview?.spread.imbalance ?? 0;
  return (
    <Panel
      title="Nodes"
      aside={
        <>
          <span className="muted small">leaders by node{spread > 0.3 && ', unevenly spread'}</span>
          <span className="space" />
          <Link to="/nodes">details</Link>
        </>
      }
    >
      <NodesTable />
    </Panel>
  );
}
