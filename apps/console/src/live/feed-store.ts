import { applyFrame, connectionLost, EMPTY_FEED, type FeedState } from '../protocol/feed-reducer.ts';
import type { DataFrame, ErrorFrame, RowValue, TopicParams, WindowInfo } from '../protocol/messages.ts';
import type { FrameSink, LiveConnection, Subscription } from './connection.ts';
import { Emitter } from './emitter.ts';

/** A second resync is asked for when the first one brought nothing for this long. Milliseconds. */
const RESYNC_AGAIN_MS = 5_000;

export type FeedPhase = 'loading' | 'ready' | 'refused';

/** Topics whose rows stand in lists that people point at. */
const LISTS: ReadonlySet<string> = new Set([
  'problems',
  'nodes',
  'partitions',
  'events',
  'tree',
  'keys',
  'locks',
  'sequences',
  'operations',
]);

const GONE = Symbol('gone');

/** The row has been removed, and is shown only because its list is held still. */
export function isGone(row: object): boolean {
  return GONE in row;
}

/** Runs the flush of all feeds that have something, once per animation frame. */
export interface FrameScheduler {
  request(flush: () => void): void;
}

export interface FeedSurroundings {
  readonly connection: Pick<LiveConnection, 'subscribe'>;
  readonly scheduler: FrameScheduler;
  monotonicMs(): number;
  isFrozen(): boolean;
  /** Rows keep their places: none comes, goes or moves in a list. */
  areRowsHeld(): boolean;
  /** Changes that wait behind the freeze, or rows that wait, have become more or fewer. */
  waitingChanged(): void;
}

/**
 * Rows of one topic with one set of parameters, shared by every component that shows them. Frames are queued as they arrive and
 * reduced once per animation frame; only the listeners of rows that changed are called.
 *
 * What is shown and what is known are kept apart: while the page is frozen, frames are reduced and acknowledged as ever, but
 * `rows` stays what it was. While rows are held, values change in their places, and rows that come, go or move wait (console C5).
 */
export class FeedStore implements FrameSink {
  readonly topic: string;
  readonly params: TopicParams;
  private known: FeedState = EMPTY_FEED;
  private shown: ReadonlyMap<string, RowValue> = EMPTY_FEED.rows;
  private shownKeys: readonly string[] = [];
  private shownRows: readonly RowValue[] | undefined;
  private markedRows: ReadonlyMap<string, RowValue> | undefined;
  private error: ErrorFrame | undefined;
  private queue: DataFrame[] = [];
  private readonly behindFreeze = new Set<string>();
  /** Rows that came or went since the rows are held. */
  private readonly waitingPlaces = new Set<string>();
  /** The rows stand elsewhere by now. */
  private isReordered = false;
  private readonly rowListeners = new Map<string, Set<() => void>>();
  /** Membership or phase changed. */
  readonly keysChanged = new Emitter();
  /** What the server says about the rows changed. */
  readonly windowChanged = new Emitter();
  /** Anything changed. */
  readonly changed = new Emitter();
  private subscription: Subscription | undefined;
  private resyncSentMs = Number.NEGATIVE_INFINITY;
  private readonly around: FeedSurroundings;

  constructor(topic: string, params: TopicParams, around: FeedSurroundings) {
    this.topic = topic;
    this.params = params;
    this.around = around;
  }

  start(): void {
    this.subscription ??= this.around.connection.subscribe(this.topic, this.params, this);
  }

  stop(): void {
    this.subscription?.close();
    this.subscription = undefined;
    this.queue = [];
  }

  // ---- reading ------------------------------------------------------------------------------------------------------------------

  get phase(): FeedPhase {
    if (this.error !== undefined) return 'refused';
    return this.known.stream === undefined ? 'loading' : 'ready';
  }

  get refusal(): ErrorFrame | undefined {
    return this.error;
  }

  /** Whoever asks for a row by its key is no list: it is told of one that came while the rows are held. */
  row(key: string): RowValue | undefined {
    return this.shown.get(key) ?? (this.waitingPlaces.has(key) ? this.known.rows.get(key) : undefined);
  }

  /** The same array until a row is added or removed. */
  get keys(): readonly string[] {
    return this.shownKeys;
  }

  /** The same array until any row changes. */
  get rows(): readonly RowValue[] {
    this.shownRows ??= [...this.shown.values()];
    return this.shownRows;
  }

  /** What the server says about the rows; undefined for topics of which it says nothing. */
  get window(): WindowInfo | undefined {
    return this.known.window;
  }

  /** The rows as they were when the user marked them, to compare with; the same map until then. */
  get marked(): ReadonlyMap<string, RowValue> | undefined {
    return this.markedRows;
  }

  /** Remembers what is shown now. A feed without rows has nothing to compare with. */
  mark(): void {
    this.markedRows = this.shown === EMPTY_FEED.rows ? undefined : this.shown;
  }

  unmark(): void {
    this.markedRows = undefined;
  }

  get waiting(): number {
    return this.behindFreeze.size;
  }

  /** Rows that came or went while the rows are held. */
  get waitingRows(): number {
    return this.waitingPlaces.size;
  }

  onRow(key: string, listener: () => void): () => void {
    const listeners = this.rowListeners.get(key) ?? new Set();
    this.rowListeners.set(key, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.rowListeners.delete(key);
    };
  }

  // ---- frames (FrameSink) ---------------------------------------------------------------------------------------------------------

  resumeFrom(): { readonly stream: string; readonly seq: string } | undefined {
    const { stream, seq } = this.known;
    return stream === undefined ? undefined : { stream, seq };
  }

  receive(frame: DataFrame): void {
    this.queue.push(frame);
    this.around.scheduler.request(this.flush);
  }

  refused(error: ErrorFrame): void {
    this.error = error;
    this.keysChanged.emit();
    this.changed.emit();
  }

  connectionLost(): void {
    this.flush();
    this.known = connectionLost(this.known);
  }

  private readonly flush = (): void => {
    const frames = this.queue;
    if (frames.length === 0) return;
    this.queue = [];
    const changed = new Set<string>();
    let all = false;
    let membership = false;
    const said = this.known.window;
    for (const frame of frames) {
      const step = applyFrame(this.known, frame);
      this.known = step.state;
      if (step.changed === 'all') all = true;
      else for (const key of step.changed) changed.add(key);
      membership ||= step.membership;
      if (step.resync !== undefined) this.askForSnapshot(step.resync);
    }
    if (this.known.phase === 'awaiting-snapshot') this.askForSnapshot('still waiting');
    else this.subscription?.ack(this.known.seq);
    if (all) for (const key of [...this.shown.keys(), ...this.known.rows.keys()]) changed.add(key);
    this.show(changed, membership, all);
    if (said !== this.known.window) this.windowChanged.emit();
  };

  private askForSnapshot(reason: string): void {
    const now = this.around.monotonicMs();
    if (now - this.resyncSentMs < RESYNC_AGAIN_MS) return;
    this.resyncSentMs = now;
    this.subscription?.resync(reason);
  }

  private show(changed: ReadonlySet<string>, membership: boolean, all: boolean): void {
    const first = this.shown === EMPTY_FEED.rows;
    if (this.around.isFrozen() && !first) {
      for (const key of changed) this.behindFreeze.add(key);
      this.around.waitingChanged();
      return;
    }
    const isHeld = !first && LISTS.has(this.topic) && this.around.areRowsHeld();
    if (isHeld) this.keepPlaces();
    else {
      this.shown = this.known.rows;
      this.waitingPlaces.clear();
      this.isReordered = false;
    }
    this.shownRows = undefined;
    if ((membership || all) && !isHeld) {
      this.shownKeys = [...this.shown.keys()];
      this.keysChanged.emit();
    }
    for (const key of changed) for (const listener of [...(this.rowListeners.get(key) ?? [])]) listener();
    if (changed.size > 0 || all) this.changed.emit();
  }

  /** Values change, rows do not: those that are gone are marked, those that came are counted. */
  private keepPlaces(): void {
    const { rows } = this.known;
    const before = this.waitingPlaces.size;
    this.waitingPlaces.clear();
    for (const key of rows.keys()) if (!this.shown.has(key)) this.waitingPlaces.add(key);
    const shown = new Map<string, RowValue>();
    for (const [key, old] of this.shown) {
      const row = rows.get(key);
      if (row === undefined) this.waitingPlaces.add(key);
      shown.set(key, row ?? (isGone(old) ? old : { ...old, [GONE]: true }));
    }
    this.isReordered = [...rows.keys()].some((key, i) => key !== this.shownKeys[i]);
    this.shown = shown;
    if (before !== this.waitingPlaces.size) this.around.waitingChanged();
  }

  /** The rows are held no longer: those that waited come, go and move in one step. */
  releaseRows(): void {
    if (this.waitingPlaces.size === 0 && !this.isReordered) return;
    const changed = new Set([...this.shown.keys(), ...this.known.rows.keys()]);
    this.waitingPlaces.clear();
    this.isReordered = false;
    this.show(changed, true, true);
  }

  /** The freeze ended: everything that waited is shown in one step. */
  thaw(): void {
    if (this.behindFreeze.size === 0) return;
    const changed = new Set(this.behindFreeze);
    this.behindFreeze.clear();
    this.show(changed, true, false);
  }
}
