import { SegmentedControl, TextInput } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import { getRouteApi, Link, useParams } from '@tanstack/react-router';
import { Page } from '../../app/page.tsx';
import type { OperationsSearch } from '../../app/search.ts';
import { subjectToPath } from '../../app/subject.ts';
import { millis, plural } from '../../format/numbers.ts';
import { duration } from '../../format/time.ts';
import { useConnection, useFeed, useFreshness, usePhase, useRow, useRows } from '../../live/use-live.ts';
import { OPERATION_TITLE } from '../../operations/kinds.ts';
import { Progress, StateWord } from '../../operations/operation-state.tsx';
import { StopButton } from '../../operations/stop-button.tsx';
import type { OperationReport } from '../../protocol/messages.ts';
import { Instant, Since } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { useFlash } from '../../ui/use-flash.ts';
import { Waiting } from '../../ui/waiting.tsx';
import { useNodeName } from '../nodes/use-node-name.ts';

const route = getRouteApi('/operations');

/** Everything somebody started here: what, when, how far, how it ended (console §6.11). */
export function OperationsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { _splat } = useParams({ strict: false });
  const chosen = _splat === '' ? undefined : _splat;
  const { welcome } = useConnection();
  const feed = useFeed('operations');
  const all = useRows(feed);
  const phase = usePhase(feed);
  const wanted = (search.q ?? '').toLowerCase();
  const shown = all
    .filter(o => search.show === undefined || o.state === search.show)
    .filter(o => wanted === '' || `${o.kind} ${OPERATION_TITLE[o.kind]} ${o.subject} ${o.outcome}`.toLowerCase().includes(wanted))
    .sort((a, b) => b.startedMs - a.startedMs);
  const set = (change: { [K in keyof OperationsSearch]?: OperationsSearch[K] | undefined }, replace = false) =>
    void navigate({
      to: chosen === undefined ? '/operations' : '/operations/$',
      params: { _splat: chosen ?? '' },
      search: old => Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, v]) => v)) as OperationsSearch,
      replace,
    });
  const node = welcome?.node.name ?? 'this node';
  return (
    <Page
      title="Operations"
      tools={
        <>
          <TextInput
            size="xs"
            className="find-in-page"
            aria-label="Filter operations"
            placeholder="kind, subject, outcome  /"
            data-page-filter
            spellCheck={false}
            value={search.q ?? ''}
            onChange={event => set({ q: event.currentTarget.value || undefined }, true)}
          />
          <SegmentedControl
            aria-label="State"
            value={search.show ?? 'all'}
            onChange={value => set({ show: value === 'running' || value === 'ended' ? value : undefined })}
            data={[
              { value: 'all', label: 'All' },
              { value: 'running', label: 'Running' },
              { value: 'ended', label: 'Ended' },
            ]}
          />
        </>
      }
    >
      <div className="split named" data-detail={chosen !== undefined}>
        <Panel
          title={phase === 'ready' ? plural(shown.length, 'operation') : 'Operations'}
          className="named-list"
          aside={<span className="muted small">of all nodes; each remembers what was started through it, while it runs</span>}
        >
          {phase === 'loading' ? (
            <Waiting height={240} what="the operations" />
          ) : shown.length > 0 ? (
            <OperationsTable rows={shown} chosen={chosen} />
          ) : all.length === 0 ? (
            <p className="note">
              Nothing was started since the nodes run. What is written, deleted or released in this console is listed here,
              through whichever node.
            </p>
          ) : (
            <p className="note">
              Nothing matches. {plural(all.length, 'other operation')}.{' '}
              <button type="button" className="text-button" onClick={() => set({ q: undefined, show: undefined })}>
                Clear filter
              </button>
            </p>
          )}
        </Panel>
        {chosen !== undefined && (
          <OperationPanel id={chosen} node={node} onClose={() => void navigate({ to: '/operations', search: old => old })} />
        )}
      </div>
    </Page>
  );
}

function OperationsTable({ rows, chosen }: { rows: readonly OperationReport[]; chosen: string | undefined }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
    <section className="scroll-box" tabIndex={0} aria-label="List of operations">
      <table className="grid" aria-label="Operations">
        <thead>
          <tr>
            <th scope="col">operation</th>
            <th scope="col">state</th>
            <th scope="col" className="num">
              started
            </th>
            <th scope="col" className="num opt">
              took
            </th>
            <th scope="col" className="opt">
              node
            </th>
            <th scope="col" className="opt2">
              from
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <OperationLine key={row.operationId} row={row} chosen={row.operationId === chosen} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function OperationLine({ row, chosen }: { row: OperationReport; chosen: boolean }) {
  const node = useNodeName(row.source);
  const freshness = useFreshness(row.source);
  const flash = useFlash(`${row.state} ${row.outcome}`);
  return (
    <tr data-flash={flash} data-stale={freshness.level} aria-selected={chosen} aria-label={`operation ${row.operationId}`}>
      <th scope="row">
        <Link
          to="/operations/$"
          params={{ _splat: row.operationId }}
          search={old => old}
          data-row
          aria-current={chosen ? 'true' : undefined}
        >
          {OPERATION_TITLE[row.kind]} <span className="mono key-name">{row.subject}</span>
        </Link>
      </th>
      <td className="nowrap">
        <StateWord report={row} /> {row.state === 'running' && <Progress report={row} />}
      </td>
      <td className="num">
        <Instant ms={row.startedMs} />
      </td>
      <td className="num opt">
        <Took row={row} />
      </td>
      <td className="opt">{node}</td>
      <td className="mono opt2">{row.from}</td>
    </tr>
  );
}

function OperationPanel({ id, node, onClose }: { id: string; node: string; onClose: () => void }) {
  const feed = useFeed('operations');
  const row = useRow(feed, id);
  const phase = usePhase(feed);
  return (
    <Panel
      title={id}
      className="detail"
      aside={
        <>
          <span className="space" />
          <button type="button" className="icon-button" aria-label="Close this operation" onClick={onClose}>
            <IconX size={16} />
          </button>
        </>
      }
    >
      {row !== undefined ? (
        <Operation row={row} />
      ) : phase === 'loading' ? (
        <Waiting height={160} what={id} />
      ) : (
        <p className="note">
          No node that {node} hears remembers an operation {id}: the one that ran it was started again since, or is silent. Look
          at what it was about to see what became of it.
        </p>
      )}
    </Panel>
  );
}

function Operation({ row }: { row: OperationReport }) {
  const node = useNodeName(row.source);
  return (
    <>
      <dl className="facts">
        <dt>what</dt>
        <dd>{OPERATION_TITLE[row.kind]}</dd>
        <dt>subject</dt>
        <dd className="mono">
          <Subject row={row} />
        </dd>
        {row.durability !== null && (
          <>
            <dt>durability</dt>
            <dd>{row.durability}</dd>
          </>
        )}
        <dt>state</dt>
        <dd>
          <StateWord report={row} />
          {row.statusText !== null && <span className="muted"> {row.statusText}</span>}
        </dd>
        {row.progress !== null && (
          <>
            <dt>progress</dt>
            <dd>
              <Progress report={row} />
            </dd>
          </>
        )}
        <dt>started</dt>
        <dd>
          <Instant ms={row.startedMs} /> <span className="muted">from {row.from}</span>
        </dd>
        <dt>node</dt>
        <dd>{node}</dd>
        <dt>{row.state === 'running' ? 'running for' : 'took'}</dt>
        <dd>
          <Took row={row} />
        </dd>
      </dl>
      {row.text !== null && <p className="note">{row.text}</p>}
      {row.checks.length > 0 && (
        <div className="action in-panel">
          <ul className="checks" aria-label="Checks before it began">
            {row.checks.map(check => (
              <li key={check.id} data-ok={check.ok}>
                <Mark tone={check.ok ? 'good' : 'warning'} label={check.ok ? 'held' : 'did not hold'} /> {check.text}
              </li>
            ))}
          </ul>
        </div>
      )}
      {row.canCancel && (
        <div className="panel-actions">
          <StopButton report={row} />
        </div>
      )}
    </>
  );
}

/** What it was about, as a way there where that is one thing. */
function Subject({ row: { kind, subject, durability } }: { row: OperationReport }) {
  const _splat = subjectToPath(subject);
  if (kind === 'delete-prefix' || kind === 'rebalance-leaders') return <>{subject}</>;
  if (kind === 'transfer-leader') {
    return (
      <Link to="/partitions/$id" params={{ id: subject.replace(/\D/g, '') }}>
        {subject}
      </Link>
    );
  }
  if (kind === 'release-lock') {
    return (
      <Link to="/locks/$durability/$" params={{ durability: durability ?? 'persistent', _splat }}>
        {subject}
      </Link>
    );
  }
  if (kind.endsWith('-sequence')) {
    return (
      <Link to="/sequences/$" params={{ _splat }}>
        {subject}
      </Link>
    );
  }
  return (
    <Link to="/keys/$" params={{ _splat }} search={durability === 'ephemeral' ? { d: 'e' } : {}}>
      {subject}
    </Link>
  );
}

/** Not known of one whose node was started again meanwhile. */
function Took({ row: { state, startedMs, endedMs } }: { row: OperationReport }) {
  if (state === 'running') return <Since ms={startedMs} />;
  if (endedMs === null) return <>–</>;
  const ms = endedMs - startedMs;
  return <>{ms < 1000 ? millis(ms) : duration(ms)}</>;
}
