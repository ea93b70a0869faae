/** Repetitions that can be made in a row without any success. */
const CAPACITY = 1000;
/** What one success gives back: in the long run at most one repetition in ten requests. */
const PER_SUCCESS = 0.1;

/**
 * Bounds how much repeating adds to the load of a cluster in trouble: a client whose requests are mostly refused stops
 * repeating them and passes the refusals on.
 */
export class RetryBudget {
  private tokens = CAPACITY;

  /** False where the budget is used up. */
  take(): boolean {
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  succeeded(): void {
    if (this.tokens < CAPACITY) this.tokens += PER_SUCCESS;
  }
}
