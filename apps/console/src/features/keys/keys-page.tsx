import './keys.css';
import { SegmentedControl, TextInput } from '@mantine/core';
import { IconClockHour4, IconPlus } from '@tabler/icons-react';
import { getRouteApi, useParams } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { Page } from '../../app/page.tsx';
import type { KeysSearch } from '../../app/search.ts';
import { keySpaceOf, pathToSubject, subjectToPath } from '../../app/subject.ts';
import { useIsBelow, useMay } from '../../live/use-live.ts';
import type { DurabilityName } from '../../protocol/messages.ts';
import { Mark } from '../../ui/marks.tsx';
import { AsOfPicker } from './as-of-picker.tsx';
import { DeletePrefix } from './delete-prefix.tsx';
import { KeyEditor } from './key-editor.tsx';
import { KeyList } from './key-list.tsx';
import { KeyPanel } from './key-panel.tsx';
import { SpaceTree } from './space-tree.tsx';

const route = getRouteApi('/keys');

/** Browse by key space, read, compare, edit, restore (console §6.6). */
export function KeysPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { _splat } = useParams({ strict: false });
  const chosen = pathToSubject(_splat);
  const isHidden = useIsBelow('reader');
  const mayEdit = useMay('editor');
  const [creating, setCreating] = useState(false);
  const [picking, setPicking] = useState(false);
  const [deleting, setDeleting] = useState<string>();
  const durability: DurabilityName = search.d === 'e' ? 'ephemeral' : 'persistent';
  const space = search.space ?? (chosen === undefined ? undefined : keySpaceOf(chosen));
  const here = subjectRoute(chosen);
  const change = (next: (old: KeysSearch) => KeysSearch) => void navigate({ ...here, search: next(search) });
  const open = (key: string) =>
    void navigate({
      to: '/keys/$',
      params: { _splat: subjectToPath(key) },
      search: ({ from: _from, tab: _tab, space: _space, ...kept }) => kept,
    });
  return (
    <Page
      title="Keys"
      tools={
        <>
          <FindKey onFind={open} />
          <SegmentedControl
            aria-label="Durability"
            value={durability}
            onChange={value =>
              change(({ d: _d, from: _from, ...kept }) => (value === 'ephemeral' ? { ...kept, d: 'e' as const } : kept))
            }
            data={[
              { value: 'persistent', label: 'Persistent' },
              { value: 'ephemeral', label: 'Ephemeral' },
            ]}
          />
          <button
            type="button"
            className="text-button"
            aria-pressed={search.asOf !== undefined}
            disabled={durability === 'ephemeral'}
            onClick={() => setPicking(true)}
          >
            <IconClockHour4 size={14} aria-hidden /> As of {search.asOf === undefined ? 'now' : 'a past instant'}
          </button>
          <button type="button" className="text-button" disabled={!mayEdit} onClick={() => setCreating(true)}>
            <IconPlus size={14} aria-hidden /> New key
          </button>
        </>
      }
    >
      {search.asOf !== undefined && (
        <AsOfPicker.Band
          asOf={search.asOf}
          onNow={() => change(({ asOf: _asOf, ...kept }) => kept)}
          onChange={() => setPicking(true)}
        />
      )}
      {!isHidden ? (
        <div className="split keys" data-detail={chosen !== undefined}>
          <SpaceTree
            durability={durability}
            chosen={space}
            onChoose={path => void navigate({ to: '/keys', search: browsing(search, path) })}
          />
          <KeyList
            durability={durability}
            space={space}
            from={search.from}
            asOf={search.asOf}
            chosen={chosen}
            onDeleteAll={setDeleting}
            onPage={from => change(({ from: _from, ...kept }) => (from === undefined ? kept : { ...kept, from }))}
          />
          {chosen !== undefined && (
            <KeyPanel
              key={`${durability} ${chosen}`}
              name={chosen}
              durability={durability}
              asOf={search.asOf}
              tab={search.tab ?? 'value'}
              onTab={tab => change(({ tab: _tab, ...kept }) => (tab === 'history' ? { ...kept, tab } : kept))}
              onClose={() => void navigate({ to: '/keys', search: browsing(search, space ?? '') })}
            />
          )}
        </div>
      ) : (
        <p className="note">
          <Mark tone="unknown" /> Keys and values are hidden at this level; reading them needs reader.
        </p>
      )}
      {creating && (
        <KeyEditor
          durability={durability}
          suggestion={space === undefined ? '' : `${space}/`}
          onClose={written => {
            setCreating(false);
            if (written !== undefined) open(written);
          }}
        />
      )}
      {deleting !== undefined && (
        <DeletePrefix prefix={deleting} durability={durability} onClose={() => setDeleting(undefined)} />
      )}
      {picking && (
        <AsOfPicker
          asOf={search.asOf}
          onClose={() => setPicking(false)}
          onPick={asOf => {
            setPicking(false);
            change(old => ({ ...old, asOf }));
          }}
        />
      )}
    </Page>
  );
}

/** The address of the page while this key is open. */
function subjectRoute(chosen: string | undefined) {
  return chosen === undefined
    ? ({ to: '/keys' } as const)
    : ({ to: '/keys/$', params: { _splat: subjectToPath(chosen) } } as const);
}

/** Another key space: its list begins anew, the rest of the view stays. */
function browsing({ from: _from, tab: _tab, ...kept }: KeysSearch, space: string): KeysSearch {
  return { ...kept, space };
}

/** An exact key first; its key space is listed around it. */
function FindKey({ onFind }: { onFind: (key: string) => void }) {
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text !== '') onFind(text);
  };
  return (
    <form onSubmit={submit} className="find-key">
      <TextInput
        size="xs"
        aria-label="Open a key by its name"
        placeholder="exact key, Enter to open  /"
        data-page-filter
        spellCheck={false}
        value={text}
        onChange={event => setText(event.currentTarget.value)}
      />
    </form>
  );
}
