import type { StateFeed } from './feed.ts';
import type { ReadAnswer } from './reads.ts';

/** Rows that are read on demand are read again this often while somebody looks (C2: on the screen within 500 ms). Milliseconds. */
const READ_EVERY_MS = 400;
const READ_WHEN_LOADED_MS = 2_000;
/** A read may take at most this share of the time. */
const READ_SHARE = 0.25;
/** A read under way for longer makes its rows stale (console §4.4). Milliseconds. */
const SILENT_MS = 3_000;

/**
 * Keeps one feed true by reading again and again, one read at a time, while it has subscribers. Nobody tells the console of changes
 * of keys, locks and sequences, so the node that serves the page looks for them; browsers get only what changed.
 */
export class LiveRead {
  private readonly feed: StateFeed;
  private readonly read: () => Promise<ReadAnswer>;
  /** The answer can never change: it is of a past instant. */
  private readonly once: boolean;
  private startedAtMs: number | undefined;
  private dueAtMs = Number.NEGATIVE_INFINITY;

  constructor(feed: StateFeed, read: () => Promise<ReadAnswer>, once: boolean) {
    this.feed = feed;
    this.read = read;
    this.once = once;
    feed.ready = false;
  }

  /** Somebody subscribes after a pause: what is at hand may be old, so nothing is shown before the next answer. */
  begin(nowMs: number, mono: () => number): void {
    if (this.once && this.dueAtMs === Number.POSITIVE_INFINITY) return;
    this.feed.ready = false;
    this.dueAtMs = nowMs;
    this.step(nowMs, false, mono);
  }

  step(nowMs: number, loaded: boolean, mono: () => number): void {
    if (this.startedAtMs !== undefined) {
      if (nowMs - this.startedAtMs > SILENT_MS) this.feed.remark({ problem: 'no answer yet; the node is still asking' }, nowMs);
      return;
    }
    if (nowMs < this.dueAtMs) return;
    this.startedAtMs = nowMs;
    void this.look(nowMs, loaded, mono);
  }

  private async look(startedMs: number, loaded: boolean, mono: () => number): Promise<void> {
    const answer = await this.read().catch((error: unknown): ReadAnswer => ({ problem: String(error) }));
    const nowMs = mono();
    this.startedAtMs = undefined;
    const failed = 'problem' in answer;
    if (failed) this.feed.remark({ problem: answer.problem }, nowMs);
    else this.feed.show(answer.rows, answer.window, nowMs);
    const pause = Math.max(loaded ? READ_WHEN_LOADED_MS : READ_EVERY_MS, (nowMs - startedMs) / READ_SHARE);
    this.dueAtMs = this.once && !failed ? Number.POSITIVE_INFINITY : nowMs + pause;
  }
}
