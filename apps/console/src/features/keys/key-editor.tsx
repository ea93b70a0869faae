import { Modal, NumberInput, SegmentedControl, Switch, Textarea, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useFeed, useHeldRows, useMay, useRow, useServerNow } from '../../live/use-live.ts';
import { newIdempotencyKey, start } from '../../operations/api.ts';
import type { DurabilityName, KeyRow, OperationReport, OperationRequest } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { ScrollText } from '../../ui/scroll-text.tsx';
import { asText, formOf, fromBase64, toBase64 } from './value-model.ts';

interface KeyEditorProps {
  readonly durability: DurabilityName;
  /** The key as it was when Edit was pressed; undefined: a new key. */
  readonly opened?: KeyRow;
  /** What a new key's name begins with. */
  readonly suggestion?: string;
  /** With the key that was written. */
  readonly onClose: (written: string | undefined) => void;
}

type Encoding = 'text' | 'base64';
type Lifetime = 'keep' | 'never' | 'after';

/** Always conditional on the revision that was opened: nobody's write is ever overwritten without being seen (console §6.6). */
export function KeyEditor({ durability, opened, suggestion = '', onClose }: KeyEditorProps) {
  useHeldRows(true);
  const [base, setBase] = useState(opened);
  const [name, setName] = useState(opened?.key ?? suggestion);
  const initial = base?.valueB64 == null ? new Uint8Array() : fromBase64(base.valueB64);
  const [encoding, setEncoding] = useState<Encoding>(formOf(initial) === 'binary' ? 'base64' : 'text');
  const [text, setText] = useState(() => (formOf(initial) === 'binary' ? toBase64(initial) : (asText(initial) ?? '')));
  const hasEnd = base?.state === 'live' && base.expiresMs !== null;
  const [lifetime, setLifetime] = useState<Lifetime>(hasEnd ? 'keep' : 'never');
  const [seconds, setSeconds] = useState<number | string>(60);
  const [noRevision, setNoRevision] = useState(false);
  const [busy, setBusy] = useState(false);
  const [report, setReport] = useState<OperationReport>();
  const [lost, setLost] = useState<string>();
  const now = useServerNow();
  const may = useMay('editor');
  const valueB64 = encoding === 'base64' ? cleanBase64(text) : toBase64(new TextEncoder().encode(text));
  const endLeft = base?.expiresMs == null ? 0 : Math.round(base.expiresMs - now);
  const expiresMs = lifetime === 'never' ? 0 : lifetime === 'keep' ? Math.max(1, endLeft) : Math.round(Number(seconds) * 1000);
  const usable = name !== '' && valueB64 !== undefined && (lifetime !== 'after' || expiresMs >= 1) && expiresMs <= 2_147_483_647;
  const save = async () => {
    if (valueB64 === undefined) return;
    const request: OperationRequest = {
      kind: 'set-key',
      params: { key: name, durability, valueB64, expiresMs, noRevision },
      expect: { revision: base?.state === 'live' ? base.revision : null },
    };
    setBusy(true);
    setLost(undefined);
    try {
      const ended = await start(request, newIdempotencyKey());
      if (ended.outcome === 'done') onClose(name);
      else setReport(ended);
    } catch (error) {
      setLost(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  return (
    <Modal
      opened
      onClose={() => onClose(undefined)}
      title={opened === undefined ? `New ${durability} key` : 'Edit the value'}
      size="xl"
      closeButtonProps={{ 'aria-label': 'Close' }}
      closeOnClickOutside={false}
    >
      <div className="action editor">
        {opened === undefined ? (
          <TextInput
            label="Key"
            value={name}
            onChange={event => setName(event.currentTarget.value)}
            spellCheck={false}
            autoComplete="off"
            className="mono-input"
            data-autofocus
          />
        ) : (
          <p className="mono subject">{name}</p>
        )}
        {base !== undefined && (
          <Overtaken
            base={base}
            yours={text}
            onTake={theirs => {
              setBase(theirs);
              setReport(undefined);
            }}
          />
        )}
        <div className="value-tools">
          <SegmentedControl
            aria-label="Write the value as"
            value={encoding}
            onChange={value => {
              setText(recode(text, value === 'base64' ? 'base64' : 'text'));
              setEncoding(value === 'base64' ? 'base64' : 'text');
            }}
            data={[
              { value: 'text', label: 'Text' },
              { value: 'base64', label: 'Base64' },
            ]}
          />
          <span className="muted small">
            {valueB64 === undefined ? '' : `${fromBase64(valueB64).length} bytes`}
            {encoding === 'text' && looksLikeBrokenJson(text) && ' · not valid JSON'}
          </span>
        </div>
        <Textarea
          aria-label="Value"
          className="mono-input"
          autosize
          minRows={6}
          maxRows={18}
          spellCheck={false}
          value={text}
          onChange={event => setText(event.currentTarget.value)}
          error={valueB64 === undefined ? 'This is not base64' : undefined}
        />
        <div className="editor-options">
          <SegmentedControl
            aria-label="Lifetime"
            value={lifetime}
            onChange={value => setLifetime(value as Lifetime)}
            data={[
              ...(hasEnd ? [{ value: 'keep', label: 'Keeps its end' }] : []),
              { value: 'never', label: 'Never expires' },
              { value: 'after', label: 'Expires after' },
            ]}
          />
          {lifetime === 'after' && (
            <NumberInput size="xs" w={120} aria-label="Seconds" suffix=" s" min={0.001} value={seconds} onChange={setSeconds} />
          )}
          {durability === 'persistent' && (
            <Switch
              size="xs"
              checked={noRevision}
              onChange={event => setNoRevision(event.currentTarget.checked)}
              label="Do not keep this version once it is superseded"
            />
          )}
        </div>
        <p className="muted small">
          {base?.state === 'live'
            ? `Written only if the key is still at revision ${base.revision}.`
            : 'Written only if no live key has this name.'}
        </p>
        {!may && (
          <p role="status">
            <Mark tone="moving" /> Not connected. What you typed is kept; it can be written when the page is live again.
          </p>
        )}
        {report !== undefined && (
          <p role="alert">
            <Mark tone={report.outcome === 'unknown' ? 'unknown' : 'warning'} /> <strong>{report.outcome}</strong> {report.text}
          </p>
        )}
        {lost !== undefined && (
          <p role="alert">
            <Mark tone="unknown" /> No answer came: {lost}. It may have been written; look at the key before you try again.
          </p>
        )}
        <div className="buttons">
          <button type="button" className="text-button" onClick={() => onClose(undefined)}>
            Cancel
          </button>
          <button type="button" className="text-button primary" disabled={!usable || busy || !may} onClick={() => void save()}>
            {busy ? 'Writing…' : opened === undefined ? 'Create' : 'Save'}
          </button>
        </div>
      </div>
    </Modal>
  );
}

function isOther(base: KeyRow, live: KeyRow): boolean {
  return live.revision !== base.revision || live.state !== base.state;
}

function cleanBase64(text: string): string | undefined {
  const clean = text.replaceAll(/\s/g, '');
  try {
    atob(clean);
    return clean;
  } catch {
    return undefined; // shown beside the box as an error
  }
}

/** The same bytes in the other writing, where they have one. */
function recode(text: string, to: Encoding): string {
  if (to === 'base64') return toBase64(new TextEncoder().encode(text));
  const clean = cleanBase64(text);
  return (clean === undefined ? undefined : asText(fromBase64(clean))) ?? text;
}

function looksLikeBrokenJson(text: string): boolean {
  return /^\s*[[{]/.test(text) && formOf(new TextEncoder().encode(text)) !== 'json';
}

function shown(row: KeyRow): string {
  if (row.state !== 'live') return '(deleted)';
  if (row.valueB64 === null) return '(null)';
  const value = fromBase64(row.valueB64);
  return asText(value) ?? row.valueB64;
}

interface OvertakenProps {
  readonly base: KeyRow;
  readonly yours: string;
  readonly onTake: (theirs: KeyRow) => void;
}

/** Watches the key that is being edited; says something only when somebody else was faster. */
function Overtaken({ base, yours, onTake }: OvertakenProps) {
  const live = useRow(useFeed('key', { key: base.key, durability: base.durability }), `${base.durability}/${base.key}`);
  if (live === undefined || !isOther(base, live)) return null;
  return <Theirs base={base} theirs={live} yours={yours} onTake={() => onTake(live)} />;
}

/** What was opened, what somebody else wrote meanwhile, and what is about to be written. */
function Theirs({ base, theirs, yours, onTake }: { base: KeyRow; theirs: KeyRow; yours: string; onTake: () => void }) {
  const panes = [
    { title: `You opened r${base.revision}`, text: shown(base) },
    { title: theirs.state === 'live' ? `Theirs, r${theirs.revision}` : 'Deleted meanwhile', text: shown(theirs) },
    { title: 'Yours, not written', text: yours },
  ];
  return (
    <section className="theirs" aria-label="Somebody else wrote meanwhile">
      <p role="alert">
        <Mark tone="warning" /> Somebody else changed this key{' '}
        {theirs.modifiedMs !== null && (
          <>
            at <Instant ms={theirs.modifiedMs} />
          </>
        )}
        . Saving is refused until you have seen it.
      </p>
      <div className="panes">
        {panes.map(pane => (
          <figure key={pane.title}>
            <figcaption className="small muted">{pane.title}</figcaption>
            <ScrollText label={pane.title}>{pane.text}</ScrollText>
          </figure>
        ))}
      </div>
      <button type="button" className="text-button" onClick={onTake}>
        I have seen it: write mine over theirs
      </button>
    </section>
  );
}
