import './operations.css';
import { integer, plural } from '../format/numbers.ts';
import type { OperationReport } from '../protocol/messages.ts';
import { Mark } from '../ui/marks.tsx';
import { OUTCOME_TONE } from './kinds.ts';

/** One of the five words, or that it runs. */
export function StateWord({ report }: { report: OperationReport }) {
  const word = report.outcome ?? 'running';
  return (
    <span className="state" data-outcome={word}>
      <Mark tone={report.outcome === null ? 'moving' : OUTCOME_TONE[report.outcome]} size={10} />
      {word}
    </span>
  );
}

/** How far it is: a bar where the whole is known, else the count alone. */
export function Progress({ report }: { report: OperationReport }) {
  const { progress } = report;
  if (progress === null) return null;
  const { done, total } = progress;
  if (total === null) return <span className="progress-text">{plural(done, 'key')}</span>;
  return (
    <span className="progress">
      <progress value={done} max={Math.max(1, total)} aria-label={`Progress of ${report.subject}`} />
      <span className="progress-text">
        {integer(done)} of {integer(total)}
      </span>
    </span>
  );
}
