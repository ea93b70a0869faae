import type { LockGrant } from '../../protocol/messages.ts';

/** A grant with its place on the axis of time, or so many grants of which nothing was noted. */
export type OwnershipItem =
  | { readonly kind: 'grant'; readonly grant: LockGrant; readonly bar: Bar | undefined }
  | { readonly kind: 'gap'; readonly key: string; readonly grants: string };

/** Shares of the axis, 0 to 1. */
export interface Bar {
  readonly from: number;
  /** Until its end, or until now. */
  readonly to: number;
  /** What is left of the lease ends here. */
  readonly leaseTo: number;
  /** It began before the axis does, or nobody noted when. */
  readonly isOpen: boolean;
}

export interface Axis {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From the first instant that was noted to the end of what is known. undefined: there is no instant. */
export function axisOf(grants: readonly LockGrant[], expiresMs: number | null, nowMs: number): Axis | undefined {
  const known = grants.flatMap(({ fromMs, toMs }) => [fromMs, toMs]).filter(ms => ms !== null);
  if (known.length === 0) return undefined;
  const isHeld = grants[0]?.end === null;
  const fromMs = Math.min(...known);
  return { fromMs, toMs: Math.max(nowMs, isHeld ? (expiresMs ?? 0) : 0, fromMs + 1000) };
}

/** Newest first; `expiresMs`: end of the lease that runs. Tokens grow by one, so a larger step is a gap. */
export function ownershipOf(
  grants: readonly LockGrant[],
  axis: Axis | undefined,
  expiresMs: number | null,
  nowMs: number,
): readonly OwnershipItem[] {
  const items: OwnershipItem[] = [];
  grants.forEach((grant, i) => {
    const newer = grants[i - 1];
    const missing = newer === undefined ? 0n : BigInt(newer.token) - BigInt(grant.token) - 1n;
    if (missing > 0n) items.push({ kind: 'gap', key: `after ${grant.token}`, grants: String(missing) });
    items.push({ kind: 'grant', grant, bar: axis === undefined ? undefined : barOf(grant, axis, expiresMs, nowMs) });
  });
  return items;
}

function barOf(grant: LockGrant, { fromMs, toMs }: Axis, expiresMs: number | null, nowMs: number): Bar | undefined {
  const isHeld = grant.end === null;
  const until = isHeld ? nowMs : grant.toMs;
  if (until === null) return undefined;
  const share = (ms: number): number => Math.min(1, Math.max(0, (ms - fromMs) / (toMs - fromMs)));
  const to = share(until);
  return {
    from: grant.fromMs === null ? 0 : share(grant.fromMs),
    to,
    leaseTo: isHeld && expiresMs !== null ? share(Math.max(until, expiresMs)) : to,
    isOpen: grant.fromMs === null,
  };
}
