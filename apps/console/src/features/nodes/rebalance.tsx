import { useState } from 'react';
import { useMay } from '../../live/use-live.ts';
import { ActionDialog } from '../../operations/action-dialog.tsx';

/** Evens out how many partitions each node leads: the dialog shows which leaders would move (console §7.2). */
export function RebalanceButton() {
  const may = useMay('operator');
  const [asked, setAsked] = useState(false);
  return (
    <>
      <button
        type="button"
        className="text-button"
        disabled={!may}
        title={may ? undefined : 'Needs operator and a live connection'}
        onClick={() => setAsked(true)}
      >
        Rebalance leaders…
      </button>
      {asked && (
        <ActionDialog
          title="Even out the leaders?"
          verb="Rebalance"
          request={{ kind: 'rebalance-leaders', params: {}, expect: {} }}
          onClose={() => setAsked(false)}
        />
      )}
    </>
  );
}
