import { IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { integer, percent, rate } from '../../format/numbers.ts';
import { ageText } from '../../format/time.ts';
import { useFeed, useMay, useNow, usePhase, useRow, useWindow } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import type { SequenceRow } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Commands, quoted } from '../../ui/commands.tsx';
import { CopyButton } from '../../ui/copy-button.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { ReserveValues, UpdateSequence } from './sequence-forms.tsx';

/** One sequence: where it stands, how fast it goes, how far it can go. */
export function SequencePanel({ name, onClose }: { name: string; onClose: () => void }) {
  const feed = useFeed('sequence', { name });
  const row = useRow(feed, name);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  // Kept here: a dialog outlives the row that it is about, which may be gone by its own doing.
  const [doing, setDoing] = useState<Doing>();
  const close = () => setDoing(undefined);
  return (
    <Panel
      title={name}
      className="detail"
      aside={
        <>
          <span className="space" />
          <CopyButton text={name} label="Copy name" />
          <button type="button" className="icon-button" aria-label="Close this sequence" onClick={onClose}>
            <IconX size={16} />
          </button>
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={220} what={name} />
      ) : (
        <>
          <ReadProblem window={window} hasRows={row !== undefined} />
          {row !== undefined && <Sequence row={row} onDo={what => setDoing({ what, seen: row })} />}
          {row === undefined && window?.problem === null && <p className="note">There is no sequence of this name.</p>}
        </>
      )}
      {doing?.what === 'reserve' && <ReserveValues row={doing.seen} onClose={close} />}
      {doing?.what === 'update' && <UpdateSequence row={doing.seen} onClose={close} />}
      {doing?.what === 'delete' && (
        <ActionDialog
          title="Delete this sequence?"
          verb="Delete"
          request={{ kind: 'delete-sequence', params: { name: name }, expect: { incarnation: doing.seen.incarnation } }}
          onClose={close}
        >
          <p className="mono subject">{name}</p>
        </ActionDialog>
      )}
    </Panel>
  );
}

type Doing = { readonly what: 'reserve' | 'update' | 'delete'; readonly seen: SequenceRow };

function Sequence({ row, onDo }: { row: SequenceRow; onDo: (what: Doing['what']) => void }) {
  const mayOperate = useMay('operator');
  const now = useNow();
  return (
    <>
      <Ruler row={row} />
      <dl className="facts">
        <dt>mark</dt>
        <dd>
          {integer(row.currentValue)} <span className="muted">no value above it was handed out</span>
        </dd>
        <dt>increment</dt>
        <dd>{integer(row.increment)}</dd>
        <dt>block</dt>
        <dd>
          {row.blockSize === null ? (
            <span className="muted">as the node is set</span>
          ) : (
            `${integer(row.blockSize)} values at a time`
          )}
        </dd>
        <dt>reserved</dt>
        <dd>
          {rate(row.reservedPerSec)}{' '}
          <span className="muted">
            {row.reservedPerSec === null ? 'measuring' : 'values, by the moves of the mark over 30 s'}
          </span>
        </dd>
        <dt>remaining</dt>
        <dd>
          {row.remaining === null ? (
            <span className="muted">there is no maximum</span>
          ) : (
            <>
              {integer(row.remaining)}
              {row.exhaustsMs !== null && (
                <span className="muted"> lasts about {ageText(row.exhaustsMs - now)} at this rate</span>
              )}
            </>
          )}
        </dd>
        <dt>incarnation</dt>
        <dd>
          {integer(row.incarnation)} <span className="muted">revision {integer(row.revision)}</span>
        </dd>
        <dt>created</dt>
        <dd>
          <Instant ms={row.createdMs} />
        </dd>
        <dt>updated</dt>
        <dd>
          <Instant ms={row.updatedMs} />
        </dd>
        <dt>partition</dt>
        <dd>
          {row.partitionId === null ? (
            '–'
          ) : (
            <Link to="/partitions/$id" params={{ id: String(row.partitionId) }}>
              P{row.partitionId}
            </Link>
          )}
        </dd>
      </dl>
      <div className="panel-actions">
        {(['reserve', 'update', 'delete'] as const).map(what => (
          <button
            key={what}
            type="button"
            className={`text-button ${what === 'delete' ? 'danger' : ''}`}
            disabled={!mayOperate}
            title={mayOperate ? undefined : 'Needs operator and a live connection'}
            onClick={() => onDo(what)}
          >
            {{ reserve: 'Reserve…', update: 'Update…', delete: 'Delete…' }[what]}
          </button>
        ))}
      </div>
      <Commands
        command={{
          cli: `kahuna-cli --get-sequence ${quoted(row.name)}`,
          path: '/v1/sequences/get',
          body: { name: row.name },
        }}
      />
    </>
  );
}

/** From the first value to the last one, where there is a last one: what is used up and what is free. */
function Ruler({ row }: { row: SequenceRow }) {
  if (row.maxValue === null) return null;
  const [first, mark, last] = [BigInt(row.initialValue), BigInt(row.currentValue), BigInt(row.maxValue)];
  const from = mark < first ? mark : first;
  const used = last === from ? 1 : Number(((mark - from) * 10_000n) / (last - from)) / 10_000;
  return (
    <figure className="ruler" data-near={used > 0.9}>
      <div className="ruler-bar" role="img" aria-label={`${percent(used)} used up`}>
        <span style={{ width: `${used * 100}%` }} />
      </div>
      <figcaption className="small muted">
        <span>{integer(String(from))}</span>
        <span>{percent(used)} used up</span>
        <span>{integer(row.maxValue)}</span>
      </figcaption>
    </figure>
  );
}
