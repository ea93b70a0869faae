import { SegmentedControl } from '@mantine/core';
import { useState } from 'react';
import { bytes } from '../../format/numbers.ts';
import { CopyButton } from '../../ui/copy-button.tsx';
import { ScrollText } from '../../ui/scroll-text.tsx';
import { formOf, shownAs, type Viewer, viewersFor } from './value-model.ts';

const LABEL: Readonly<Record<Viewer, string>> = { json: 'JSON', text: 'Text', hex: 'Hex', base64: 'Base64' };

/** A value as text only, never as anything that could run (console §14). `total`: its whole length, when only its head is at hand. */
export function ValueView({ value, total }: { value: Uint8Array | null; total: number | null }) {
  const form = formOf(value);
  const truncated = value !== null && total !== null && total > value.length;
  // The head of a long text may end inside a character or a bracket: hex always tells the truth about it.
  const viewers = viewersFor(truncated && form === 'json' ? 'text' : form);
  const [wanted, setWanted] = useState<Viewer>();
  const viewer = viewers.find(each => each === wanted) ?? viewers[0];
  if (value === null) return <p className="note">The value is null.</p>;
  if (viewer === undefined) return <p className="note">The value is empty: zero bytes.</p>;
  const text = shownAs(value, viewer);
  return (
    <div className="value">
      <div className="value-tools">
        <SegmentedControl
          aria-label="Show the value as"
          value={viewer}
          onChange={chosen => setWanted(viewers.find(each => each === chosen))}
          data={viewers.map(each => ({ value: each, label: LABEL[each] }))}
        />
        <span className="space" />
        <CopyButton text={text} label="Copy" />
      </div>
      <ScrollText label="Value" viewer={viewer}>
        {text}
      </ScrollText>
      {truncated && (
        <p className="note">
          The first {bytes(value.length)} of {bytes(total)}. Download it to see the rest.
        </p>
      )}
    </div>
  );
}
