import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { bytes } from '../../format/numbers.ts';
import { useMay } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import { readHistory } from '../../operations/api.ts';
import type { DurabilityName, KeyRow, RevisionItem } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { ScrollText } from '../../ui/scroll-text.tsx';
import { Waiting } from '../../ui/waiting.tsx';
import { diffLines } from './diff-model.ts';
import { comparable, fromBase64 } from './value-model.ts';

interface KeyHistoryProps {
  readonly name: string;
  readonly durability: DurabilityName;
  /** The key as it is now: a new revision makes the history be read again. */
  readonly head: KeyRow | undefined;
}

/** Revisions with time and size, the difference between any two, and the way back (console §6.6). */
export function KeyHistory({ name, durability, head }: KeyHistoryProps) {
  const pages = useInfiniteQuery({
    queryKey: ['history', durability, name, head?.revision, head?.state],
    queryFn: ({ pageParam }) => readHistory(name, durability, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: page => page.next,
    placeholderData: before => before,
  });
  const mayEdit = useMay('editor');
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [restoring, setRestoring] = useState<RevisionItem>();
  const items = (pages.data?.pages ?? []).flatMap(page => page.items);
  const newer = items.find(item => item.revision === (chosen[0] ?? items[0]?.revision));
  const older = items.find(item => item.revision === (chosen[1] ?? items[1]?.revision));
  if (pages.isPending) return <Waiting height={120} what="the history" />;
  if (pages.isError) {
    return (
      <p className="note" role="alert">
        The history could not be read: {pages.error.message}.{' '}
        <button type="button" className="text-button" onClick={() => void pages.refetch()}>
          Try again
        </button>
      </p>
    );
  }
  if (items.length === 0) return <p className="note">It was never written, so there is no history.</p>;
  const choose = (place: 0 | 1, revision: string) =>
    setChosen(place === 0 ? [revision, older?.revision ?? ''] : [newer?.revision ?? '', revision]);
  return (
    <div className="history">
      <div className="scroll-x">
        <table className="grid" aria-label="Revisions">
          <thead>
            <tr>
              <th scope="col">rev</th>
              <th scope="col">written</th>
              <th scope="col" className="num">
                size
              </th>
              <th scope="col">compare</th>
              <th scope="col">
                <span className="visually-hidden">actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map(item => (
              <tr key={item.revision} aria-label={`revision ${item.revision}`}>
                <th scope="row">
                  r{item.revision}
                  {item.revision === head?.revision && <span className="muted small"> newest</span>}
                </th>
                <td>
                  {item.atMs === null ? (
                    <span className="muted" title="A deletion or an expiry lies after it, and no read tells when it was written">
                      not known
                    </span>
                  ) : (
                    <Instant ms={item.atMs} />
                  )}
                </td>
                <td className="num">
                  {item.kept ? item.bytes === null ? 'null' : bytes(item.bytes) : <span className="muted">not kept</span>}
                </td>
                <td className="nowrap">
                  <label className="pick">
                    <input
                      type="radio"
                      name="newer"
                      disabled={!item.kept}
                      checked={item === newer}
                      onChange={() => choose(0, item.revision)}
                      aria-label={`revision ${item.revision} on the right`}
                    />
                    new
                  </label>{' '}
                  <label className="pick">
                    <input
                      type="radio"
                      name="older"
                      disabled={!item.kept}
                      checked={item === older}
                      onChange={() => choose(1, item.revision)}
                      aria-label={`revision ${item.revision} on the left`}
                    />
                    old
                  </label>
                </td>
                <td className="num">
                  {item.kept && !item.truncated && !(head?.state === 'live' && item.revision === head.revision) && (
                    <button
                      type="button"
                      className="text-button"
                      disabled={!mayEdit || head === undefined}
                      onClick={() => setRestoring(item)}
                    >
                      Restore…
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {pages.hasNextPage && (
        <button
          type="button"
          className="text-button"
          disabled={pages.isFetchingNextPage}
          onClick={() => void pages.fetchNextPage()}
        >
          Older revisions
        </button>
      )}
      {newer !== undefined && older !== undefined && newer !== older && <Difference newer={newer} older={older} />}
      {restoring !== undefined && head !== undefined && (
        <ActionDialog
          title={`Restore revision ${restoring.revision}?`}
          verb="Restore"
          request={{
            kind: 'set-key',
            params: { key: name, durability, valueB64: restoring.valueB64, expiresMs: 0, noRevision: false },
            expect: { revision: head.state === 'live' ? head.revision : null },
          }}
          onClose={() => setRestoring(undefined)}
        >
          <p>
            Writes the bytes of revision {restoring.revision} again, as a new revision of <code>{name}</code>. It will not expire.
          </p>
        </ActionDialog>
      )}
    </div>
  );
}

function bytesOf(item: RevisionItem): Uint8Array | null {
  return item.valueB64 === null ? null : fromBase64(item.valueB64);
}

function Difference({ newer, older }: { newer: RevisionItem; older: RevisionItem }) {
  if (!newer.kept || !older.kept) return <p className="note">One of them is not kept, so they cannot be compared.</p>;
  const [after, before] = [bytesOf(newer), bytesOf(older)];
  const lines = diffLines(comparable(before, after), comparable(after, before));
  const changed = lines.filter(line => line.kind !== 'same').length;
  const SIGN = { same: ' ', removed: '−', added: '+' } as const;
  return (
    <figure className="difference">
      <figcaption className="muted small">
        from r{older.revision} to r{newer.revision}: {changed === 0 ? 'no difference' : `${changed} lines differ`}
      </figcaption>
      <ScrollText label={`Difference from revision ${older.revision} to ${newer.revision}`}>
        {lines.map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no identity but their place
          <span key={i} className="diff-line" data-kind={line.kind}>
            {`${SIGN[line.kind]} ${line.text}\n`}
          </span>
        ))}
      </ScrollText>
    </figure>
  );
}
