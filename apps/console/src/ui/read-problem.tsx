import type { WindowInfo } from '../protocol/messages.ts';
import { Mark } from './marks.tsx';

/** Why the rows below are not of now, or not all: a failed read never looks like "none" (C1). */
export function ReadProblem({ window, hasRows }: { window: WindowInfo | undefined; hasRows: boolean }) {
  if (window === undefined) return null;
  if (window.problem !== null) {
    return (
      <p className="note read-problem" role="status">
        <Mark tone="warning" />{' '}
        {hasRows ? `These are the last rows that were read: ${window.problem}.` : `This could not be read: ${window.problem}.`}{' '}
        Trying again.
      </p>
    );
  }
  if (window.missing.length === 0) return null;
  return (
    <p className="note read-problem" role="status">
      <Mark tone="warning" /> Not all: {window.missing.length === 1 ? 'partition' : 'partitions'} {window.missing.join(', ')} did
      not answer, its rows are missing here.
    </p>
  );
}
