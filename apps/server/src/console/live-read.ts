import type { StateFeed } from './feed.ts';
import type { News } from './news.ts';
import type { ReadAnswer } from './reads.ts';

/** Rows that are read on demand are read again this often while somebody looks (C2: on the screen within 500 ms). Milliseconds. */
const READ_EVERY_MS = 400;
const READ_WHEN_LOADED_MS = 2_000;
/** The same where changes are told: for what no change tells, such as who asks for a lock in vain. */
const READ_WHEN_TOLD_MS = 2_000;
/** A read may take at most this share of the time, as far as the pause behind it is not longer than {@link LONGEST_PAUSE_MS}. */
const READ_SHARE = 0.25;
/**
 * Longest pause behind a read: one that took seconds has waited for others and not worked, and what it shows must not stay behind for
 * four times as long. Milliseconds.
 */
const LONGEST_PAUSE_MS = 2_000;
/** Behind a read that failed: it mostly waited for a leader, and the next one is what ends the warning on the screen. Milliseconds. */
const FAILED_PAUSE_MS = 1_000;
/** A read under way for longer makes its rows stale (console §4.4). Milliseconds. */
const SILENT_MS = 3_000;

/**
 * Keeps one feed true by reading again, one read at a time, while it has subscribers: when it is told of a change, and now and then
 * by the clock; where nobody tells of changes, by the clock alone. Browsers get only what changed.
 */
export class LiveRead {
  private readonly feed: StateFeed;
  private readonly read: () => Promise<ReadAnswer>;
  /** The answer can never change: it is of a past instant. */
  private readonly once: boolean;
  private readonly news: News | undefined;
  private startedAtMs: number | undefined;
  private dueAtMs = Number.NEGATIVE_INFINITY;
  /** Not again before this instant, whatever happens. */
  private earliestAtMs = Number.NEGATIVE_INFINITY;

  constructor(feed: StateFeed, read: () => Promise<ReadAnswer>, once: boolean, news?: News) {
    this.feed = feed;
    this.read = read;
    this.once = once;
    this.news = news;
    feed.ready = false;
  }

  /** Somebody subscribes after a pause: what is at hand may be old, so nothing is shown before the next answer. */
  begin(nowMs: number, mono: () => number): void {
    if (this.once && this.dueAtMs === Number.POSITIVE_INFINITY) return;
    this.feed.ready = false;
    this.dueAtMs = nowMs;
    this.earliestAtMs = nowMs;
    this.step(nowMs, false, mono);
  }

  /** Nobody looks any more. */
  rest(): void {
    this.news?.close();
  }

  step(nowMs: number, loaded: boolean, mono: () => number): void {
    // Also while a read is under way: it may have looked before what is told now.
    if (this.news?.hasCome(nowMs)) this.dueAtMs = Math.min(this.dueAtMs, nowMs);
    if (this.startedAtMs !== undefined) {
      if (nowMs - this.startedAtMs > SILENT_MS) this.feed.remark({ problem: 'no answer yet; the node is still asking' }, nowMs);
      return;
    }
    if (nowMs < Math.max(this.dueAtMs, this.earliestAtMs)) return;
    this.startedAtMs = nowMs;
    this.dueAtMs = Number.POSITIVE_INFINITY;
    void this.look(nowMs, loaded, mono);
  }

  private async look(startedMs: number, loaded: boolean, mono: () => number): Promise<void> {
    const answer = await this.read().catch((error: unknown): ReadAnswer => ({ problem: String(error) }));
    const nowMs = mono();
    this.startedAtMs = undefined;
    const failed = 'problem' in answer;
    if (failed) this.feed.remark({ problem: answer.problem }, nowMs);
    else this.feed.show(answer.rows, answer.window, nowMs);
    const pause = failed ? FAILED_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, (nowMs - startedMs) / READ_SHARE);
    const rest = Math.max(loaded ? READ_WHEN_LOADED_MS : READ_EVERY_MS, pause);
    const told = this.news?.isWatching === true && !failed && answer.untold !== true;
    this.earliestAtMs = told && !loaded ? nowMs + pause : nowMs + rest;
    if (this.once && !failed) return;
    this.dueAtMs = Math.min(this.dueAtMs, told ? nowMs + Math.max(rest, READ_WHEN_TOLD_MS) : nowMs + rest);
  }
}
