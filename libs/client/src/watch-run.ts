import type { Caller } from './caller.ts';
import type { Endpoint } from './endpoints.ts';
import { HistoryPrunedError, InvalidInputError, ProtocolError, UnavailableError } from './errors.ts';
import { jittered, type Timer } from './runtime.ts';
import { NotLeaderFailure, type OpenWatch, type TransportFailure, type WatchRequest, type WatchSink } from './transport.ts';
import type { Progress } from './watch-progress.ts';
import type { AnyChange, Told } from './watch-told.ts';

/** Without any node for so long a watch gives up. Milliseconds. */
const PATIENCE_MS = 60_000;
const RETRY_MS = 200;
/** What waits for a loop that is slow; beyond it the server is held back. Bytes, about. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** Of a change, beside its key and value. Bytes, about. */
const CHANGE_BYTES = 100;
const BEGIN_ANEW = 'Begin a new watch with the present state (`initial`), in place of everything that was known before.';

export interface RunOptions {
  readonly caller: Caller;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  /** A key that tells which node is near. */
  readonly near: string;
  readonly requestAt: (position: string | undefined) => WatchRequest;
  /** The server has said where the watch begins. */
  readonly onStarted: () => void;
  readonly onFailed: (reason: unknown) => void;
}

interface Waiter<C> {
  readonly resolve: (result: IteratorResult<C, void>) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * One loop over a watch, which goes on at another node where one is lost.
 *
 *  R1 Every change that the loop is given was told by one attempt, in its order; the next attempt begins behind all of them.
 *     So it waits until the loop was given everything that the last one had told.
 *  R2 What waits for the loop is bounded: beyond the limit the server is held back, or the attempt given up and made anew, on a way
 *     of its own, once the loop has caught up. Present state is asked for on ways only that can be held back.
 */
export class WatchRun<C extends AnyChange> implements AsyncIterator<C, void, void>, Attempting {
  private readonly options: RunOptions;
  private queue: Told[] = [];
  /** Changes of the first of them that the loop was given. */
  private given = 0;
  private queuedBytes = 0;
  private waiters: Waiter<C>[] = [];
  private attempt: Attempt | undefined;
  private paused = false;
  private alone = false;
  private retry: Timer | undefined;
  private endpoint: Endpoint | undefined;
  /** Where a node has said that another one serves this. */
  private leader: Endpoint | undefined;
  /** Since when there was no node; undefined while one tells. Monotonic milliseconds. */
  private troubleSinceMs: number | undefined;
  private failure: { readonly reason: unknown } | undefined;
  private over = false;
  private readonly abort = (): void => this.fail(this.options.signal?.reason);

  constructor(options: RunOptions) {
    this.options = options;
    const { signal } = options;
    if (signal?.aborted) {
      this.fail(signal.reason);
      return;
    }
    signal?.addEventListener('abort', this.abort, { once: true });
    this.begin();
  }

  // ---- the loop's side ------------------------------------------------------------------------------------------------------

  next(): Promise<IteratorResult<C, void>> {
    if (this.waiters.length === 0) {
      const change = this.take();
      if (change !== undefined) return Promise.resolve({ done: false, value: change });
    }
    if (this.failure !== undefined) {
      const { reason } = this.failure;
      this.failure = undefined;
      return Promise.reject(reason);
    }
    if (this.over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  /** The loop was left. */
  return(): Promise<IteratorResult<C, void>> {
    this.stop();
    for (const { resolve } of this.waiters.splice(0)) resolve({ done: true, value: undefined });
    return Promise.resolve({ done: true, value: undefined });
  }

  private take(): C | undefined {
    const { progress } = this.options;
    for (let head = this.queue[0]; head !== undefined; head = this.queue[0]) {
      const change = head.changes[this.given];
      if (change === undefined) {
        if (head.position !== undefined) progress.reached(head.position);
        this.queue.shift();
        this.given = 0;
        continue;
      }
      this.given += 1;
      this.queuedBytes -= bytesOf(change);
      if (progress.wasTold(change)) continue;
      // Before the loop has it: leaving the loop there must not bring it again.
      progress.told(change);
      this.caughtUp();
      return change as C;
    }
    this.caughtUp();
    return undefined;
  }

  private caughtUp(): void {
    if (this.paused && this.queuedBytes < MAX_QUEUED_BYTES / 2) {
      this.paused = false;
      this.attempt?.resume();
    }
    if (this.attempt === undefined && this.retry === undefined && this.isDrained) this.begin();
  }

  private get isDrained(): boolean {
    const [head] = this.queue;
    return head === undefined || (this.queue.length === 1 && this.given === head.changes.length);
  }

  // ---- the server's side ----------------------------------------------------------------------------------------------------

  private begin(): void {
    if (this.over || this.failure !== undefined) return;
    const { caller, progress, near, requestAt } = this.options;
    // A position behind the last change is adopted here, too.
    const last = this.queue.shift();
    this.given = 0;
    if (last?.position !== undefined) progress.reached(last.position);
    try {
      this.endpoint = this.leader ?? caller.endpointFor(near, this.endpoint);
      this.leader = undefined;
    } catch (error) {
      if (error instanceof UnavailableError) this.again(error);
      else this.fail(error);
      return;
    }
    const attempt = new Attempt(this);
    this.attempt = attempt;
    attempt.open = this.endpoint.connection.watch(requestAt(progress.position), this.alone, attempt);
  }

  told(attempt: Attempt, message: Told): void {
    if (attempt !== this.attempt) return;
    this.troubleSinceMs = undefined;
    this.enqueue(message);
    if (message.position !== undefined) this.options.onStarted();
    while (this.waiters.length > 0) {
      const change = this.take();
      if (change === undefined) break;
      this.waiters.shift()?.resolve({ done: false, value: change });
    }
    if (this.queuedBytes > MAX_QUEUED_BYTES) this.holdBack(attempt);
  }

  /** Positions without changes do not pile up. */
  private enqueue(message: Told): void {
    const last = this.queue.at(-1);
    if (message.changes.length === 0 && last !== undefined) {
      this.queue[this.queue.length - 1] = { changes: last.changes, position: message.position };
      return;
    }
    this.queue.push(message);
    for (const change of message.changes) this.queuedBytes += bytesOf(change);
  }

  private holdBack(attempt: Attempt): void {
    if (this.paused) return;
    if (attempt.pause()) {
      this.paused = true;
    } else if (this.options.progress.position !== undefined || this.queue.some(({ position }) => position !== undefined)) {
      this.alone = true;
      this.leave();
      // It was no fault of the node.
      this.endpoint = undefined;
    }
  }

  ended(attempt: Attempt, failure: TransportFailure): void {
    if (attempt !== this.attempt) return;
    this.leave();
    const refusal = refusalOf(failure);
    if (refusal !== undefined) {
      this.fail(refusal, true);
      return;
    }
    if (failure instanceof NotLeaderFailure) this.leader = this.options.caller.endpointAt(failure.leaderUrl);
    else if (this.endpoint !== undefined) this.options.caller.walkFailed(this.endpoint);
    this.again(new UnavailableError(failure.message, { cause: failure }));
  }

  private again(reason: UnavailableError): void {
    const { runtime } = this.options.caller;
    const now = runtime.monotonicMs();
    this.troubleSinceMs ??= now;
    if (now - this.troubleSinceMs > PATIENCE_MS) {
      this.fail(reason, true);
      return;
    }
    this.retry = runtime.after(jittered(runtime, RETRY_MS), () => {
      this.retry = undefined;
      if (this.isDrained) this.begin();
    });
  }

  private leave(): void {
    this.attempt?.close();
    this.attempt = undefined;
    this.paused = false;
  }

  /** `afterQueue`: the loop is given what was told before. */
  private fail(reason: unknown, afterQueue = false): void {
    if (this.over || this.failure !== undefined) return;
    this.stop(afterQueue);
    this.options.onFailed(reason);
    const waiters = this.waiters.splice(0);
    if (waiters.length === 0) this.failure = { reason };
    for (const { reject } of waiters) reject(reason);
  }

  private stop(keepQueue = false): void {
    this.over = true;
    this.options.signal?.removeEventListener('abort', this.abort);
    this.retry?.cancel();
    this.leave();
    if (!keepQueue) this.queue = [];
  }
}

interface Attempting {
  told(attempt: Attempt, message: Told): void;
  ended(attempt: Attempt, failure: TransportFailure): void;
}

/** One try at one node. */
class Attempt implements WatchSink {
  private readonly run: Attempting;
  open: OpenWatch | undefined;

  constructor(run: Attempting) {
    this.run = run;
  }

  told(message: Told): void {
    this.run.told(this, message);
  }

  ended(failure: TransportFailure): void {
    this.run.ended(this, failure);
  }

  pause(): boolean {
    if (this.open?.pause === undefined) return false;
    this.open.pause();
    return true;
  }

  resume(): void {
    this.open?.resume();
  }

  close(): void {
    this.open?.close();
  }
}

/** What ends the watch; undefined where another attempt may go on. */
function refusalOf(failure: TransportFailure): Error | undefined {
  const options = { cause: failure };
  switch (failure.fault) {
    case 'pruned':
      return new HistoryPrunedError(failure.message, { ...options, cure: BEGIN_ANEW });
    case 'request':
      return new InvalidInputError(failure.message, options);
    case 'protocol':
      return new ProtocolError(failure.message, options);
    case 'endpoint':
    case 'not-leader':
      return undefined;
  }
}

function bytesOf(change: AnyChange): number {
  if (!('key' in change)) return CHANGE_BYTES;
  return CHANGE_BYTES + change.key.length + (change.value?.length ?? 0);
}
