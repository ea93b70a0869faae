import { integer, plural } from '../../format/numbers.ts';
import { useServerNow } from '../../live/use-live.ts';
import type { LockDetailRow, LockGrant } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { axisOf, type Bar, ownershipOf } from './ownership-model.ts';

const ENDS: Readonly<Record<NonNullable<LockGrant['end']>, string>> = {
  released: 'released',
  expired: 'ran out',
  unknown: 'over, how was not noted',
};

/** Who held it when, by its tokens, as far as its leader noted it (console §6.7). */
export function Ownership({ row }: { row: LockDetailRow }) {
  const now = useServerNow();
  const axis = axisOf(row.history, row.expiresMs, now);
  const items = ownershipOf(row.history, axis, row.expiresMs, now);
  return (
    <section className="grants" aria-label="Ownership">
      <h3>
        Ownership{' '}
        <span className="muted small">
          {row.notedSinceMs === null ? (
            'nothing was noted of this lock'
          ) : (
            <>
              noted since <Instant ms={row.notedSinceMs} />, the latest 20 grants
            </>
          )}
        </span>
      </h3>
      <ol>
        {items.map(item =>
          item.kind === 'gap' ? (
            <li key={item.key} className="gap muted small">
              {plural(Number(item.grants), 'grant')} in between {item.grants === '1' ? 'was' : 'were'} not noted: too many changes
              at once
            </li>
          ) : (
            <Grant key={item.grant.token} grant={item.grant} bar={item.bar} />
          ),
        )}
      </ol>
    </section>
  );
}

function Grant({ grant, bar }: { grant: LockGrant; bar: Bar | undefined }) {
  return (
    <li data-now={grant.end === null}>
      <span className="mono token">f{integer(grant.token)}</span>
      <span className="mono who">{grant.ownerText ?? 'nobody any more'}</span>
      {bar !== undefined && <Track bar={bar} />}
      <span className="muted small">
        {grant.fromMs === null ? 'since before it was noted' : <Instant ms={grant.fromMs} />}
        {' – '}
        {grant.end === null ? (
          'now'
        ) : (
          <>
            {grant.toMs !== null && <Instant ms={grant.toMs} />} {ENDS[grant.end]}
          </>
        )}
        {grant.extends !== null && grant.extends > 0 && ` · extended ${plural(grant.extends, 'time')}`}
      </span>
    </li>
  );
}

/** The text beside it says the same. */
function Track({ bar }: { bar: Bar }) {
  return (
    <span className="track" aria-hidden="true">
      <span
        className="track-part held"
        data-open={bar.isOpen}
        style={{ left: `${bar.from * 100}%`, right: `${(1 - bar.to) * 100}%` }}
      />
      {bar.leaseTo > bar.to && (
        <span className="track-part left" style={{ left: `${bar.to * 100}%`, right: `${(1 - bar.leaseTo) * 100}%` }} />
      )}
    </span>
  );
}
