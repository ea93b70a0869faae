import { useLive, useMarkedAt } from '../live/use-live.ts';
import { Instant } from '../ui/ages.tsx';
import { Mark } from '../ui/marks.tsx';

/** Says that values carry what has changed since an instant, and ends it (console §4.5). */
export function MarkBand() {
  const client = useLive();
  const atMs = useMarkedAt();
  if (atMs === undefined) return null;
  return (
    <div className="band" role="status">
      <Mark tone="info" />
      <span>
        Compared with <Instant ms={atMs} />: what has changed since stands before the values.
      </span>
      <span className="space" />
      <button type="button" className="text-button" onClick={() => client.unmark()}>
        Clear <kbd>m</kbd>
      </button>
    </div>
  );
}
