const MINUTE_MS = 60_000;
const STEPS_MIN = [1, 2, 5, 10, 30, 60, 120, 240] as const;
const MOST_TICKS = 6;

/** Distance of the time axis' ticks for a window, so that labels are round times of day and at most six of them stand there. */
export function timeStepMs(spanMs: number): number {
  const minutes = STEPS_MIN.find(step => spanMs <= MOST_TICKS * step * MINUTE_MS) ?? 240;
  return minutes * MINUTE_MS;
}

/** Round instants inside `[now - span, now]`. `offsetMs`: of the zone in which they shall be round, as minutes east of UTC times 60,000. */
export function timeTicks(now: number, spanMs: number, offsetMs: number): readonly number[] {
  const step = timeStepMs(spanMs);
  const from = now - spanMs;
  const first = Math.ceil((from + offsetMs) / step) * step - offsetMs;
  const ticks: number[] = [];
  for (let at = first; at <= now; at += step) ticks.push(at);
  return ticks;
}

/** Zero, and up to four equal steps of 1, 2 or 5 times a power of ten that cover `most`: an axis that does not end in 18.4. */
export function valueTicks(most: number): readonly number[] {
  const rough = Math.max(most, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find(factor => factor * power >= rough) ?? 10) * power;
  const count = Math.ceil(Math.max(most, 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
