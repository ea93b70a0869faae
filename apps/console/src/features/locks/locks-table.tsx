import { Link } from '@tanstack/react-router';
import { subjectToPath } from '../../app/subject.ts';
import { integer } from '../../format/numbers.ts';
import { isGone } from '../../live/feed-store.ts';
import { useFreshness } from '../../live/use-live.ts';
import type { LockRow } from '../../protocol/messages.ts';
import { KeyName } from '../../ui/key-name.tsx';
import { Mark, type Tone } from '../../ui/marks.tsx';
import { SortHeader } from '../../ui/sort-header.tsx';
import { useFlash } from '../../ui/use-flash.ts';
import { Lease } from './lease.tsx';

const STATE_TONE: Readonly<Record<LockRow['state'], Tone>> = { held: 'good', expired: 'unknown', released: 'unknown' };

interface LocksTableProps {
  readonly rows: readonly LockRow[];
  readonly chosen: { readonly resource: string; readonly durability: string } | undefined;
  readonly sort: string | undefined;
  readonly descending: boolean;
  readonly onSort: (id: string) => void;
}

export function LocksTable({ rows, chosen, ...sorting }: LocksTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
    <section className="scroll-box" tabIndex={0} aria-label="List of locks">
      <table className="grid" aria-label="Locks">
        <thead>
          <tr>
            <th scope="col">resource</th>
            <SortHeader id="owner" title="owner" {...sorting} />
            <SortHeader id="token" title="token" className="num" {...sorting} />
            <SortHeader id="expires" title="lease" {...sorting} />
            <SortHeader
              id="refused"
              title="refused"
              hint="Asks in vain within the last minute"
              className="num opt"
              {...sorting}
            />
            <SortHeader
              id="extends"
              title="extended"
              hint="Extensions of this grant that its leader noted"
              className="num opt2"
              {...sorting}
            />
            <th scope="col" className="opt2">
              durability
            </th>
            <th scope="col" className="num opt2">
              partition
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <LockLine
              key={`${row.durability}/${row.resource}`}
              row={row}
              chosen={row.resource === chosen?.resource && row.durability === chosen.durability}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function LockLine({ row, chosen }: { row: LockRow; chosen: boolean }) {
  const freshness = useFreshness(row.source);
  const flash = useFlash(`${row.state} ${row.token} ${row.ownerText}`);
  return (
    <tr
      data-flash={flash}
      data-stale={freshness.level}
      data-gone={isGone(row) || undefined}
      aria-selected={chosen}
      aria-label={`lock ${row.resource}, ${row.durability}`}
      data-state={row.state}
    >
      <th scope="row">
        <span className="state">
          <Mark tone={STATE_TONE[row.state]} size={10} label={row.state} />
          <Link
            to="/locks/$durability/$"
            params={{ durability: row.durability, _splat: subjectToPath(row.resource) }}
            search={old => old}
            data-row
            aria-current={chosen ? 'true' : undefined}
            title={row.resource}
          >
            <KeyName name={row.resource} />
          </Link>
        </span>
      </th>
      <td className="mono owner">{row.ownerText ?? <span className="muted">nobody</span>}</td>
      <td className="num mono">f{integer(row.token)}</td>
      <td>
        <Lease row={row} />
      </td>
      <td className="num opt">{row.refusals === 0 ? <span className="muted">–</span> : integer(row.refusals)}</td>
      <td className="num opt2">{row.extends === null ? '–' : integer(row.extends)}</td>
      <td className="opt2">{row.durability}</td>
      <td className="num opt2">P{row.partitionId}</td>
    </tr>
  );
}
