import { integer } from '../../format/numbers.ts';
import type { PartitionDetailRow } from '../../protocol/messages.ts';

/** How much of the log is kept, and how much of that the engine has already: the part behind it is what a restart reads again. */
export function LogRuler({ row }: { row: PartitionDetailRow }) {
  const [first, durable, commit] = [row.firstIndex, row.durableIndex, row.commitIndex].map(text =>
    text === null ? null : Number(text),
  );
  if (first == null || durable == null || commit == null || commit <= first) return null;
  const share = Math.min(1, Math.max(0, (durable - first) / (commit - first)));
  return (
    <figure className="log-ruler">
      <div
        className="log-ruler-bar"
        role="img"
        aria-label={`${integer(commit - first + 1)} entries kept, ${integer(commit - durable)} of them not in the engine yet`}
      >
        <span className="durable" style={{ width: `${share * 100}%` }} />
      </div>
      <figcaption className="muted small" aria-hidden="true">
        <span>{integer(first)}</span>
        <span>{integer(commit - durable)} only in the log</span>
        <span>{integer(commit)}</span>
      </figcaption>
    </figure>
  );
}
