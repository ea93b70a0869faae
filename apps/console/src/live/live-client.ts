import type { TopicParams } from '../protocol/messages.ts';
import { LiveConnection, type Surroundings } from './connection.ts';
import { Emitter } from './emitter.ts';
import { FeedStore, type FrameScheduler } from './feed-store.ts';

/** A feed nobody shows is kept this long: going from one page to the next does not drop what both show. Milliseconds. */
const RELEASE_AFTER_MS = 1_000;
/** What changed behind a freeze is marked this long (console §4.5). Milliseconds. */
const THAW_MARK_MS = 5_000;
/** A hidden tab keeps only the overview after this long (console §4.5). Milliseconds. */
export const HIDDEN_AFTER_MS = 60_000;

interface Held {
  readonly feed: FeedStore;
  holders: number;
  cancelRelease: (() => void) | undefined;
}

/** Everything live on a page: the connection, the feeds by topic and parameters (counted by their users), and the freeze. */
export class LiveClient {
  readonly connection: LiveConnection;
  readonly freezeChanged = new Emitter();
  readonly markChanged = new Emitter();
  private readonly feeds = new Map<string, Held>();
  private frozenNow = false;
  private frozenByUser = false;
  private heldNow = false;
  private waitingNow = 0;
  private rowHolders = 0;
  private waitingRowsNow = 0;
  private markedNow: number | undefined;
  private cancelUnmark: (() => void) | undefined;
  private asleep = false;
  private readonly around: Surroundings;
  private readonly scheduler: FrameScheduler;

  constructor(around: Surroundings, scheduler: FrameScheduler) {
    this.around = around;
    this.scheduler = scheduler;
    this.connection = new LiveConnection(around);
  }

  /** The shared feed. It does nothing until somebody {@link hold}s it. */
  feed(topic: string, params: TopicParams = {}): FeedStore {
    const known = this.feeds.get(keyOf(topic, params));
    if (known !== undefined) return known.feed;
    const feed = new FeedStore(topic, params, {
      connection: this.connection,
      scheduler: this.scheduler,
      monotonicMs: () => this.around.monotonicMs(),
      isFrozen: () => this.frozenNow,
      areRowsHeld: () => this.rowHolders > 0,
      waitingChanged: () => this.countWaiting(),
    });
    this.adopt(feed);
    return feed;
  }

  /** Keeps a feed subscribed until the returned function is called. */
  hold(feed: FeedStore): () => void {
    const held = this.feeds.get(keyOf(feed.topic, feed.params)) ?? this.adopt(feed);
    held.cancelRelease?.();
    held.cancelRelease = undefined;
    held.holders++;
    if (!this.asleep || feed.topic === 'overview') held.feed.start();
    return () => {
      held.holders--;
      if (held.holders === 0) held.cancelRelease = this.around.after(RELEASE_AFTER_MS, () => this.release(held));
    };
  }

  private adopt(feed: FeedStore): Held {
    const held: Held = { feed, holders: 0, cancelRelease: undefined };
    this.feeds.set(keyOf(feed.topic, feed.params), held);
    return held;
  }

  private release(held: Held): void {
    held.feed.stop();
    this.feeds.delete(keyOf(held.feed.topic, held.feed.params));
  }

  // ---- freeze -------------------------------------------------------------------------------------------------------------------

  get frozen(): boolean {
    return this.frozenNow;
  }

  /** Rows that changed behind the freeze. */
  get waiting(): number {
    return this.waitingNow;
  }

  /** By the user's own word; the end of it also ends a {@link setHeld}. */
  setFrozen(frozen: boolean): void {
    this.frozenByUser = frozen;
    if (!frozen) this.heldNow = false;
    this.settleFreeze();
  }

  /** As long as the user does something that nothing may move under: selecting text, dragging (console §4.5). */
  setHeld(held: boolean): void {
    this.heldNow = held;
    this.settleFreeze();
  }

  private settleFreeze(): void {
    const frozen = this.frozenByUser || this.heldNow;
    if (frozen === this.frozenNow) return;
    this.frozenNow = frozen;
    if (!frozen) {
      if (this.waitingNow > 0) this.markForAWhile();
      for (const { feed } of this.feeds.values()) feed.thaw();
    }
    this.countWaiting();
    this.freezeChanged.emit();
  }

  private countWaiting(): void {
    let waiting = 0;
    let rows = 0;
    for (const { feed } of this.feeds.values()) {
      waiting += feed.waiting;
      rows += feed.waitingRows;
    }
    if (waiting === this.waitingNow && rows === this.waitingRowsNow) return;
    this.waitingNow = waiting;
    this.waitingRowsNow = rows;
    this.freezeChanged.emit();
  }

  // ---- rows in their places (console C5) -------------------------------------------------------------------------------------------

  /** Rows that came or went while the rows are held. */
  get waitingRows(): number {
    return this.waitingRowsNow;
  }

  /** Until the returned function is called values go on, and no row comes, goes or moves: somebody points at one or edits it. */
  holdRows(): () => void {
    let isHolding = true;
    this.rowHolders++;
    return () => {
      if (!isHolding) return;
      isHolding = false;
      this.rowHolders--;
      if (this.rowHolders > 0) return;
      for (const { feed } of this.feeds.values()) feed.releaseRows();
      this.countWaiting();
    };
  }

  // ---- mark (console §4.5) --------------------------------------------------------------------------------------------------------

  /** When the user remembered the values to compare with, by the wall clock; undefined: nothing is compared. */
  get markedAtMs(): number | undefined {
    return this.markedNow;
  }

  /** Remembers the values of every feed that is shown: what follows is shown beside them until {@link unmark}. */
  mark(): void {
    this.cancelUnmark?.();
    this.cancelUnmark = undefined;
    for (const { feed } of this.feeds.values()) feed.mark();
    this.markedNow = this.around.wallMs();
    this.markChanged.emit();
  }

  unmark(): void {
    this.cancelUnmark?.();
    this.cancelUnmark = undefined;
    for (const { feed } of this.feeds.values()) feed.unmark();
    this.markedNow = undefined;
    this.markChanged.emit();
  }

  /** What changes now, because a freeze ends, is told apart for a while; a mark of the user's own stays what it is. */
  private markForAWhile(): void {
    if (this.markedNow !== undefined) return;
    this.mark();
    this.cancelUnmark = this.around.after(THAW_MARK_MS, () => this.unmark());
  }

  // ---- hidden tab ---------------------------------------------------------------------------------------------------------------

  /** The tab has been hidden for {@link HIDDEN_AFTER_MS}: everything but the overview is unsubscribed, and resumed on return. */
  sleep(): void {
    this.asleep = true;
    for (const { feed } of this.feeds.values()) if (feed.topic !== 'overview') feed.stop();
  }

  wake(): void {
    if (!this.asleep) return;
    this.asleep = false;
    for (const { feed, holders } of this.feeds.values()) if (holders > 0) feed.start();
  }
}

function keyOf(topic: string, params: TopicParams): string {
  return `${topic} ${JSON.stringify(params)}`;
}
