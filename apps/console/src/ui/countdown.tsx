import { isoInstant } from '../format/time.ts';
import { isDown } from '../live/connection-state.ts';
import { useConnection, useServerNow } from '../live/use-live.ts';
import { countdownText } from './countdown-text.ts';

interface CountdownProps {
  readonly ms: number;
  /** What stands at zero: the server decides about the end, not this clock. */
  readonly ending?: string;
}

/** Time left to an instant of the server, counted here; with a ≈ while the connection is down (console §4.2, §4.3). */
export function Countdown({ ms, ending = 'ending…' }: CountdownProps) {
  const now = useServerNow();
  const { state } = useConnection();
  const left = ms - now;
  return (
    <time dateTime={isoInstant(ms)} title={isoInstant(ms)} className="nowrap countdown">
      {left <= 0 ? ending : `${isDown(state) ? '≈ ' : ''}${countdownText(left)}`}
    </time>
  );
}
