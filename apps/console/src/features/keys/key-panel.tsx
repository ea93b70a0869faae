import { IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { bytes, integer } from '../../format/numbers.ts';
import { useFeed, useMay, usePhase, useRow, useWindow } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import { valueUrl } from '../../operations/api.ts';
import type { DurabilityName, KeyRow } from '../../protocol/messages.ts';
import { Instant, Since } from '../../ui/ages.tsx';
import { Commands, quoted } from '../../ui/commands.tsx';
import { CopyButton } from '../../ui/copy-button.tsx';
import { Countdown } from '../../ui/countdown.tsx';
import { Mark } from '../../ui/marks.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { KeyEditor } from './key-editor.tsx';
import { KeyHistory } from './key-history.tsx';
import { fromBase64 } from './value-model.ts';
import { ValueView } from './value-view.tsx';

interface KeyPanelProps {
  readonly name: string;
  readonly durability: DurabilityName;
  readonly asOf: number | undefined;
  readonly tab: 'value' | 'history';
  readonly onTab: (tab: 'value' | 'history') => void;
  readonly onClose: () => void;
}

/** One key: its value read-only first, its history, and what can be done with it. */
export function KeyPanel({ name, durability, asOf, tab, onTab, onClose }: KeyPanelProps) {
  const feed = useFeed('key', { key: name, durability, ...(asOf === undefined ? {} : { asOfMs: asOf }) });
  const row = useRow(feed, `${durability}/${name}`);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  // Kept here, with the row that it began with: what was typed must outlive a connection that breaks and a read that fails.
  const [doing, setDoing] = useState<Doing>();
  return (
    <Panel
      title={name}
      className="detail"
      aside={
        <>
          <span className="space" />
          <CopyButton text={name} label="Copy key" />
          <button type="button" className="icon-button" aria-label="Close this key" onClick={onClose}>
            <IconX size={16} />
          </button>
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={240} what={name} />
      ) : (
        <>
          <ReadProblem window={window} hasRows={row !== undefined} />
          {row !== undefined && <Facts row={row} past={asOf !== undefined} />}
          <nav className="tabs in-panel" aria-label="Views of the key">
            {(['value', 'history'] as const).map(each => (
              <button key={each} type="button" aria-current={tab === each ? 'page' : undefined} onClick={() => onTab(each)}>
                {each === 'value'
                  ? 'Value'
                  : `History${row === undefined || row.revision === '-1' ? '' : ` ${Number(row.revision) + 1}`}`}
              </button>
            ))}
          </nav>
          {tab === 'history' ? (
            <KeyHistory name={name} durability={durability} head={row} />
          ) : (
            row !== undefined && <Value row={row} past={asOf !== undefined} onDo={kind => setDoing({ kind, row })} />
          )}
          {tab === 'value' && asOf === undefined && (
            <Commands
              command={{
                cli: `kahuna-cli --get ${quoted(name)}`,
                path: '/v1/kv/try-get',
                body: { key: name, revision: -1, durability: durability === 'ephemeral' ? 0 : 1 },
              }}
            />
          )}
        </>
      )}
      {doing?.kind === 'edit' && <KeyEditor durability={durability} opened={doing.row} onClose={() => setDoing(undefined)} />}
      {doing?.kind === 'delete' && (
        <ActionDialog
          title="Delete this key?"
          verb="Delete"
          request={{
            kind: 'delete-key',
            params: { key: doing.row.key, durability },
            expect: { revision: doing.row.revision },
          }}
          onClose={() => setDoing(undefined)}
        >
          <p className="mono subject">{doing.row.key}</p>
        </ActionDialog>
      )}
    </Panel>
  );
}

function Facts({ row, past }: { row: KeyRow; past: boolean }) {
  return (
    <dl className="facts inline">
      <dt>state</dt>
      <dd>{stateText(row, past)}</dd>
      <dt>revision</dt>
      <dd>{row.revision === '-1' ? 'never written' : integer(row.revision)}</dd>
      {row.state === 'live' && (
        <>
          <dt>size</dt>
          <dd>{row.bytes === null ? 'null' : bytes(row.bytes)}</dd>
          <dt>modified</dt>
          <dd>
            <Instant ms={row.modifiedMs} />{' '}
            {row.modifiedMs !== null && (
              <span className="muted">
                <Since ms={row.modifiedMs} /> ago
              </span>
            )}
          </dd>
          <dt>expires</dt>
          <dd>
            {row.expiresMs === null ? (
              'never'
            ) : (
              <>
                {!past && (
                  <>
                    in <Countdown ms={row.expiresMs} ending="a moment…" />{' '}
                  </>
                )}
                <span className="muted">
                  <Instant ms={row.expiresMs} />
                </span>
              </>
            )}
          </dd>
        </>
      )}
      {row.partitionId !== null && (
        <>
          <dt>partition</dt>
          <dd>
            <Link to="/partitions/$id" params={{ id: String(row.partitionId) }}>
              P{row.partitionId}
            </Link>
          </dd>
        </>
      )}
    </dl>
  );
}

function stateText(row: KeyRow, past: boolean): string {
  if (row.state === 'live') return past ? 'was live' : 'live';
  if (row.state === 'never') return past ? 'had not been written' : 'does not exist and never did';
  return past ? 'was deleted or expired' : 'deleted or expired; its history is kept';
}

interface Doing {
  readonly kind: 'edit' | 'delete';
  readonly row: KeyRow;
}

interface ValueProps {
  readonly row: KeyRow;
  readonly past: boolean;
  readonly onDo: (kind: Doing['kind']) => void;
}

function Value({ row, past, onDo }: ValueProps) {
  const mayEdit = useMay('editor');
  const value = row.valueB64 === null ? null : fromBase64(row.valueB64);
  const truncated = value !== null && (row.bytes ?? 0) > value.length;
  const live = row.state === 'live';
  return (
    <>
      {live && <ValueView value={value} total={row.bytes} />}
      <div className="panel-actions">
        {!past && (
          <button
            type="button"
            className="text-button"
            disabled={!mayEdit || truncated}
            title={truncated ? 'Too large to edit here' : mayEdit ? undefined : 'Needs editor and a live connection'}
            onClick={() => onDo('edit')}
          >
            {live ? 'Edit' : 'Write it'}
          </button>
        )}
        {live && (
          <a className="text-button" href={valueUrl(row.key, row.durability, row.revision)} download="value.bin">
            Download
          </a>
        )}
        {live && !past && (
          <button type="button" className="text-button danger" disabled={!mayEdit} onClick={() => onDo('delete')}>
            Delete…
          </button>
        )}
      </div>
      {!live && past && <p className="note">There was no value at that instant.</p>}
      {!live && !past && row.state === 'dead' && (
        <p className="note">
          <Mark tone="info" /> Its revisions can be read and restored from the history.
        </p>
      )}
    </>
  );
}
