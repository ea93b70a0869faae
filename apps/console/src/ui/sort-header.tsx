interface SortHeaderProps {
  readonly id: string;
  readonly title: string;
  readonly className?: string;
  readonly hint?: string;
  /** The column that the list is sorted by. */
  readonly sort: string | undefined;
  readonly descending: boolean;
  readonly onSort: (id: string) => void;
}

/** Head of a column by which a list can be sorted; a second time turns it round. */
export function SortHeader({ id, title, className, hint, sort, descending, onSort }: SortHeaderProps) {
  const chosen = sort === id;
  return (
    <th scope="col" className={className} title={hint} aria-sort={chosen ? (descending ? 'descending' : 'ascending') : undefined}>
      <button type="button" className="sort" onClick={() => onSort(id)}>
        {title}
        {chosen && <span aria-hidden="true">{descending ? ' ↓' : ' ↑'}</span>}
      </button>
    </th>
  );
}

/** What follows a click on a head: ascending, descending, and then by name again. */
export function nextSort(
  { sort, dir }: { readonly sort?: string; readonly dir?: 'desc' },
  id: string,
): { readonly sort: string | undefined; readonly dir: 'desc' | undefined } {
  if (sort !== id) return { sort: id, dir: undefined };
  return dir === 'desc' ? { sort: undefined, dir: undefined } : { sort: id, dir: 'desc' };
}
