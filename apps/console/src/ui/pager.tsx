import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';

interface PagerProps {
  readonly isFirst: boolean;
  readonly next: string | null;
  readonly onFirst: () => void;
  readonly onNext: (from: string) => void;
}

/** Windows go by name: `[` to the first rows, `]` to the rows after the last one. */
export function Pager({ isFirst, next, onFirst, onNext }: PagerProps) {
  if (isFirst && next === null) return null;
  return (
    <nav className="pager" aria-label="Pages of the list">
      <button type="button" className="text-button" data-page-key="[" disabled={isFirst} onClick={onFirst}>
        <IconChevronLeft size={14} aria-hidden /> First rows
      </button>
      <button
        type="button"
        className="text-button"
        data-page-key="]"
        disabled={next === null}
        onClick={() => next !== null && onNext(next)}
      >
        Next rows <IconChevronRight size={14} aria-hidden />
      </button>
    </nav>
  );
}
