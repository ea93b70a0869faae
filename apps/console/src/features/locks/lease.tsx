import { useServerNow } from '../../live/use-live.ts';
import type { LockRow } from '../../protocol/messages.ts';
import { Instant } from '../../ui/ages.tsx';
import { Countdown } from '../../ui/countdown.tsx';

/**
 * What is left of a lease. The bar is full when the lease was granted or extended, and missing where its leader did not note
 * that; the lock is never drawn free before the server says so (console §6.7).
 */
export function Lease({ row }: { row: LockRow }) {
  if (row.state === 'released' || row.expiresMs === null) return <span className="muted">released</span>;
  if (row.state === 'expired') {
    return (
      <span className="muted">
        ran out <Instant ms={row.expiresMs} />
      </span>
    );
  }
  return <Running expiresMs={row.expiresMs} leaseMs={row.leaseMs} />;
}

function Running({ expiresMs, leaseMs }: { expiresMs: number; leaseMs: number | null }) {
  const now = useServerNow();
  const share = leaseMs === null || leaseMs <= 0 ? undefined : Math.min(1, Math.max(0, (expiresMs - now) / leaseMs));
  return (
    <span className="lease" data-low={share !== undefined && share < 0.2}>
      <span className="lease-bar" aria-hidden="true" data-unknown={share === undefined}>
        <span style={{ transform: `scaleX(${share ?? 0})` }} />
      </span>
      <Countdown ms={expiresMs} />
    </span>
  );
}
