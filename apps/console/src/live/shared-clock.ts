/** One timer for all ages and countdowns of the page; runs only while something reads it. */
export class SharedClock {
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private now = Date.now();
  private readonly stepMs: number;

  constructor(stepMs: number) {
    this.stepMs = stepMs;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    this.timer ??= setInterval(() => {
      this.now = Date.now();
      for (const each of [...this.listeners]) each();
    }, this.stepMs);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  };

  /** While nobody listens the clock stands: whoever looks first sees the present, not where it stopped. */
  readonly read = (): number => {
    if (this.timer === undefined && Math.abs(Date.now() - this.now) >= this.stepMs) this.now = Date.now();
    return this.now;
  };
}
