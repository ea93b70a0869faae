import type { UnaryHandler } from './unary.ts';

/** Unary calls that are not answered yet: a server that stops waits for them (grpc §1.3). */
export class CallsInFlight {
  private count = 0;
  private onNone: (() => void) | undefined;

  /** The same handler, counted. */
  counting(handler: UnaryHandler): UnaryHandler {
    return (call, answer) => {
      let inFlight = true;
      const over = (): void => {
        if (!inFlight) return;
        inFlight = false;
        this.count -= 1;
        if (this.count === 0) this.onNone?.();
      };
      this.count += 1;
      try {
        handler(call, (...outcome) => {
          answer(...outcome);
          over();
        });
      } catch (error) {
        over();
        throw error;
      }
    };
  }

  /** Resolves as soon as there is none. */
  none(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    return new Promise(resolve => {
      this.onNone = resolve;
    });
  }
}
