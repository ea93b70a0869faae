import { Link } from '@tanstack/react-router';
import { validateKeys } from '../../app/search.ts';
import { subjectToPath } from '../../app/subject.ts';
import { bytes, plural } from '../../format/numbers.ts';
import { isGone } from '../../live/feed-store.ts';
import { useFeed, useFreshness, useMay, usePhase, useRows, useWindow } from '../../live/use-live.ts';
import type { DurabilityName, KeyListRow } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Countdown } from '../../ui/countdown.tsx';
import { KeyName } from '../../ui/key-name.tsx';
import { Pager } from '../../ui/pager.tsx';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { Waiting } from '../../ui/waiting.tsx';

const ROWS = 200;

interface KeyListProps {
  readonly durability: DurabilityName;
  readonly space: string | undefined;
  readonly from: string | undefined;
  readonly asOf: number | undefined;
  readonly chosen: string | undefined;
  readonly onDeleteAll: (prefix: string) => void;
  /** Another window; undefined: the first. */
  readonly onPage: (from: string | undefined) => void;
}

export function KeyList({ space, ...rest }: KeyListProps) {
  if (space === undefined) {
    return (
      <Panel title="Keys">
        <p className="note">Choose a key space, or open a key by its name.</p>
      </Panel>
    );
  }
  return <SpaceKeys {...rest} space={space} />;
}

/** One window of a key space, in the order of the keys, live. */
function SpaceKeys({ durability, space, from, asOf, chosen, onDeleteAll, onPage }: KeyListProps & { readonly space: string }) {
  const feed = useFeed('keys', {
    prefix: space,
    durability,
    count: ROWS,
    ...(from === undefined ? {} : { from }),
    ...(asOf === undefined ? {} : { asOfMs: asOf }),
  });
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  const next = window?.next ?? null;
  const mayDelete = useMay('operator');
  const title =
    phase === 'ready' ? `${next !== null && from === undefined ? 'first ' : ''}${plural(rows.length, 'key')}` : 'Keys';
  return (
    <Panel
      title={title}
      className="key-list"
      aside={
        <>
          <span className="muted small">
            in <code>{space === '' ? '(empty)' : space}</code>
            {from !== undefined && (
              <>
                {' '}
                after <code>{from}</code>
              </>
            )}
          </span>
          <span className="space" />
          {asOf === undefined && (
            <button type="button" className="text-button danger" disabled={!mayDelete} onClick={() => onDeleteAll(`${space}/`)}>
              Delete all…
            </button>
          )}
        </>
      }
    >
      {phase === 'loading' ? (
        <Waiting height={320} what="the keys" />
      ) : (
        <>
          <ReadProblem window={window} hasRows={rows.length > 0} />
          {rows.length === 0 && window?.problem === null && (
            <p className="note">
              {from !== undefined
                ? 'No key follows.'
                : asOf !== undefined
                  ? 'No key of this space was there at that instant.'
                  : `No live ${durability} key is in this space. Deleted and expired ones are counted in the tree; open one by its name to see its history.`}
            </p>
          )}
          {rows.length > 0 && (
            <div className="scroll-box">
              <table className="grid" aria-label={`Keys of ${space}`}>
                <thead>
                  <tr>
                    <th scope="col">key</th>
                    <th scope="col" className="num opt">
                      rev
                    </th>
                    <th scope="col" className="num">
                      size
                    </th>
                    <th scope="col" className="num">
                      expires
                    </th>
                    <th scope="col" className="num opt">
                      modified
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map(row => (
                    <KeyLine key={row.key} row={row} space={space} chosen={row.key === chosen} past={asOf !== undefined} />
                  ))}
                </tbody>
              </table>
            </div>
          )}
          <Pager isFirst={from === undefined} next={next} onFirst={() => onPage(undefined)} onNext={onPage} />
        </>
      )}
    </Panel>
  );
}

interface KeyLineProps {
  readonly row: KeyListRow;
  readonly space: string;
  readonly chosen: boolean;
  readonly past: boolean;
}

function KeyLine({ row, space, chosen, past }: KeyLineProps) {
  const freshness = useFreshness(row.source);
  return (
    <tr data-stale={freshness.level} data-gone={isGone(row) || undefined} aria-selected={chosen} aria-label={row.key}>
      <th scope="row">
        <Link
          to="/keys/$"
          params={{ _splat: subjectToPath(row.key) }}
          search={old => ({ ...validateKeys(old), space })}
          data-row
          aria-current={chosen ? 'true' : undefined}
          title={row.key}
        >
          <KeyName name={row.key} prefix={`${space}/`} />
        </Link>
      </th>
      <td className="num opt">{row.revision}</td>
      <td className="num">{row.bytes === null ? 'null' : bytes(row.bytes)}</td>
      <td className="num">
        {row.expiresMs === null ? (
          <span className="muted">never</span>
        ) : past ? (
          <Instant ms={row.expiresMs} />
        ) : (
          <Countdown ms={row.expiresMs} ending="expiring…" />
        )}
      </td>
      <td className="num opt">
        <Instant ms={row.modifiedMs} />
      </td>
    </tr>
  );
}
