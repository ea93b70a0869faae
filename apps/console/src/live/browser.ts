import type { Surroundings, Wire } from './connection.ts';
import type { FrameScheduler } from './feed-store.ts';
import { HIDDEN_AFTER_MS, type LiveClient } from './live-client.ts';

/** The real page: its WebSocket, clocks and timers. */
export function pageSurroundings(): Surroundings {
  return {
    open: subprotocol => {
      const { protocol, host } = window.location;
      return new WebSocket(`${protocol === 'https:' ? 'wss' : 'ws'}://${host}/v1/console/stream`, subprotocol) as Wire;
    },
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    random: () => Math.random(),
    after: (ms, task) => {
      const timer = window.setTimeout(task, ms);
      return () => window.clearTimeout(timer);
    },
    every: (ms, task) => {
      const timer = window.setInterval(task, ms);
      return () => window.clearInterval(timer);
    },
  };
}

/** Flushes on the next animation frame, or at once in a hidden tab, which has none and must still acknowledge. */
export function animationFrames(): FrameScheduler {
  const waiting = new Set<() => void>();
  let requested = false;
  const run = () => {
    requested = false;
    const flushes = [...waiting];
    waiting.clear();
    for (const flush of flushes) flush();
  };
  return {
    request: flush => {
      waiting.add(flush);
      if (document.hidden) run();
      else if (!requested) {
        requested = true;
        requestAnimationFrame(run);
      }
    },
  };
}

/** Reacts to what the browser tells about network and tab. */
export function followPage(client: LiveClient): void {
  let hiddenTimer: number | undefined;
  window.addEventListener('online', () => client.connection.retryNow());
  window.addEventListener('focus', () => client.connection.retryNow());
  document.addEventListener('visibilitychange', () => {
    window.clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = window.setTimeout(() => client.sleep(), HIDDEN_AFTER_MS);
    else {
      client.wake();
      client.connection.retryNow();
    }
  });
}
