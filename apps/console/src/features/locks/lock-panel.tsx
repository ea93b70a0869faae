import { IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { integer, plural } from '../../format/numbers.ts';
import { ageText } from '../../format/time.ts';
import { useFeed, useMay, usePhase, useRow, useWindow } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import type { DurabilityName, LockDetailRow } from '../../protocol/messages.ts';
import { Instant, Since } from '../../ui/ages.tsx';
import { Commands, quoted } from '../../ui/commands.tsx';
import { CopyButton } from '../../ui/copy-button.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { Lease } from './lease.tsx';
import { Ownership } from './ownership.tsx';

interface LockPanelProps {
  readonly resource: string;
  readonly durability: DurabilityName;
  readonly onClose: () => void;
}

/** One lock: its owner, its lease, its grants, and the way to take it away. */
export function LockPanel({ resource, durability, onClose }: LockPanelProps) {
  const feed = useFeed('lock', { resource, durability });
  const row = useRow(feed, `${durability}/${resource}`);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  // What the dialog is about stays what was seen when it was opened, also where the row is gone.
  const [releasing, setReleasing] = useState<LockDetailRow>();
  return (
    <Panel
      title={resource}
      className="detail"
      aside={
        <>
          <span className="space" />
          <CopyButton text={resource} label="Copy name" />
          <button type="button" className="icon-button" aria-label="Close this lock" onClick={onClose}>
            <IconX size={16} />
          </button>
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={220} what={resource} />
      ) : (
        <>
          <ReadProblem window={window} hasRows={row !== undefined} />
          {row !== undefined && <Lock row={row} onRelease={() => setReleasing(row)} />}
          {row === undefined && window?.problem === null && (
            <p className="note">
              No {durability} lock of this name was ever acquired
              {durability === 'ephemeral' && ', or its leader has changed since'}.
            </p>
          )}
        </>
      )}
      {releasing?.ownerB64 != null && (
        <ActionDialog
          title="Release this lock by force?"
          verb="Release"
          request={{
            kind: 'release-lock',
            params: { resource: releasing.resource, durability: releasing.durability },
            expect: { ownerB64: releasing.ownerB64, token: releasing.token },
          }}
          onClose={() => setReleasing(undefined)}
        >
          <p className="mono subject">{releasing.resource}</p>
          <p>
            Owner <code>{releasing.ownerText}</code>, token <code>f{releasing.token}</code>.{' '}
            {releasing.lastExtendMs === null ? (
              'No extension of this grant was noted.'
            ) : (
              <>
                <Mark tone="warning" /> It extended its lease <Since ms={releasing.lastExtendMs} /> ago: it seems to be at work.
              </>
            )}
          </p>
        </ActionDialog>
      )}
    </Panel>
  );
}

function Lock({ row, onRelease }: { row: LockDetailRow; onRelease: () => void }) {
  const mayRelease = useMay('operator');
  return (
    <>
      <dl className="facts">
        <dt>owner</dt>
        <dd className="mono">
          {row.ownerText ?? 'nobody'}
          {row.state === 'expired' && row.ownerText !== null && <span className="muted"> (its lease ran out)</span>}
        </dd>
        <dt>fencing token</dt>
        <dd className="mono">f{integer(row.token)}</dd>
        <dt>lease</dt>
        <dd>
          <Lease row={row} />
        </dd>
        <dt>granted</dt>
        <dd>
          {row.grantedMs === null ? (
            <span className="muted">not noted</span>
          ) : (
            <>
              <Instant ms={row.grantedMs} />
              {row.leaseMs !== null && <span className="muted"> leases of {ageText(row.leaseMs)}</span>}
            </>
          )}
        </dd>
        <dt>extended</dt>
        <dd>
          {row.extends === null ? (
            <span className="muted">not noted</span>
          ) : row.lastExtendMs === null ? (
            <span className="muted">not yet</span>
          ) : (
            <>
              {row.extends} times, last <Since ms={row.lastExtendMs} /> ago
            </>
          )}
        </dd>
        <dt>durability</dt>
        <dd>
          {row.durability}
          {row.durability === 'ephemeral' && (
            <span className="muted">: lost when the leader changes, and tokens begin again</span>
          )}
        </dd>
        <dt>partition</dt>
        <dd>
          <Link to="/partitions/$id" params={{ id: String(row.partitionId) }}>
            P{row.partitionId}
          </Link>
        </dd>
      </dl>
      <div className="panel-actions">
        <button
          type="button"
          className="text-button danger"
          disabled={!mayRelease || row.state !== 'held' || row.ownerB64 === null}
          title={mayRelease ? undefined : 'Needs operator and a live connection'}
          onClick={onRelease}
        >
          Release by force…
        </button>
      </div>
      <Commands
        command={{
          cli: `kahuna-cli --get-lock ${quoted(row.resource)}`,
          path: '/v1/locks/get-info',
          body: { resource: row.resource, durability: row.durability === 'ephemeral' ? 0 : 1 },
        }}
      />
      <Contenders row={row} />
      <Ownership row={row} />
    </>
  );
}

/** Who wants it too. The server keeps no queue of them: whoever waits asks again (console §6.7). */
function Contenders({ row }: { row: LockDetailRow }) {
  return (
    <section className="grants" aria-label="Contenders">
      <h3>
        Contenders <span className="muted small">told that it is busy, last minute</span>
      </h3>
      {row.contenders.length === 0 ? (
        <p className="muted">Nobody asked for it in vain.</p>
      ) : (
        <table className="grid contenders" aria-label="Contenders">
          <tbody>
            {row.contenders.map(contender => (
              <tr key={contender.ownerText}>
                <th scope="row" className="mono">
                  {contender.ownerText}
                </th>
                <td className="num">{plural(contender.asks, 'ask')}</td>
                <td className="num muted">
                  <Since ms={contender.lastMs} /> ago
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
