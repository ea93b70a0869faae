import { significant } from '../format/numbers.ts';

interface DeltaProps {
  readonly now: number | string | null;
  /** The value that was marked; undefined: there is nothing to compare with. */
  readonly then: number | string | null | undefined;
  readonly format?: (value: number) => string;
}

/** 64-bit numbers come as texts and do not fit a double. */
function differenceOf(now: number | string, then: number | string): number {
  if (typeof now === 'string' && typeof then === 'string') return Number(BigInt(now) - BigInt(then));
  return Number(now) - Number(then);
}

/** What has changed since the values were marked: `+12`. Nothing where nothing has, or where one of the two is not known. */
export function Delta({ now, then, format = significant }: DeltaProps) {
  if (now === null || then === null || then === undefined) return null;
  const difference = differenceOf(now, then);
  if (difference === 0 || !Number.isFinite(difference)) return null;
  return (
    <span className="delta">
      {difference > 0 ? '+' : '−'}
      {format(Math.abs(difference))}{' '}
    </span>
  );
}
