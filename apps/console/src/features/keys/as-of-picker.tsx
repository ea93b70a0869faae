import { Modal, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { usePreferences } from '../../app/preferences.ts';
import { Instant } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';

interface AsOfPickerProps {
  readonly asOf: number | undefined;
  readonly onPick: (asOf: number) => void;
  readonly onClose: () => void;
}

const AGO: readonly (readonly [string, number])[] = [
  ['1 min ago', 60_000],
  ['10 min ago', 600_000],
  ['1 h ago', 3_600_000],
  ['1 d ago', 86_400_000],
];

/** Keys and values at a past instant, as far as history reaches. */
export function AsOfPicker({ asOf, onPick, onClose }: AsOfPickerProps) {
  const { zone } = usePreferences();
  const [text, setText] = useState(() => localText(asOf ?? Date.now(), zone === 'utc'));
  const parsed = Date.parse(zone === 'utc' ? `${text}Z` : text);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!Number.isNaN(parsed)) onPick(parsed);
  };
  return (
    <Modal opened onClose={onClose} title="Show keys as of" size="sm" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form className="action" onSubmit={submit}>
        <div className="choices-row">
          {AGO.map(([label, ms]) => (
            <button key={label} type="button" className="text-button" onClick={() => onPick(Date.now() - ms)}>
              {label}
            </button>
          ))}
        </div>
        <TextInput
          type="datetime-local"
          step={1}
          label={`Instant (${zone === 'utc' ? 'UTC' : 'local time'})`}
          value={text}
          onChange={event => setText(event.currentTarget.value)}
          error={Number.isNaN(parsed) ? 'This is no instant' : undefined}
        />
        <div className="buttons">
          <button type="button" className="text-button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="text-button primary" disabled={Number.isNaN(parsed)}>
            Show
          </button>
        </div>
      </form>
    </Modal>
  );
}

/** The form that `datetime-local` wants. */
function localText(ms: number, utc: boolean): string {
  const offset = utc ? 0 : new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(ms - offset).toISOString().slice(0, 19);
}

function Band({ asOf, onNow, onChange }: { asOf: number; onNow: () => void; onChange: () => void }) {
  return (
    <div className="band as-of" role="status">
      <Mark tone="info" />
      <span>
        Keys and values as of <Instant ms={asOf} />. Nothing here changes any more.
      </span>
      <span className="space" />
      <button type="button" className="text-button" onClick={onChange}>
        Another instant
      </button>
      <button type="button" className="text-button" onClick={onNow}>
        Back to now
      </button>
    </div>
  );
}
AsOfPicker.Band = Band;
