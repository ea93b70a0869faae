import { promiseHooks } from 'node:v8';
import { assert, Rng } from '@kahuna/base';

/**
 * Discrete-event simulation: one thread, one seeded random source, one queue of events in virtual time.
 *
 * Everything that happens in a simulated cluster is an event of this queue, run to completion before the next one begins. Two runs
 * with the same seed and the same code therefore do the same things in the same order; {@link Trace} condenses a run into a number
 * that tests compare.
 */
export class Simulation {
  readonly seed: number;
  readonly rng: Rng;
  readonly trace: Trace;
  /** Events run so far. */
  steps = 0;
  private readonly queue = new EventQueue();
  private now = 0;
  private halted = false;

  constructor(seed: number, trace = new Trace()) {
    this.seed = seed;
    this.rng = new Rng(seed);
    this.trace = trace;
  }

  /** Virtual time in milliseconds since the start of the simulation. True time: no node can read it. */
  get nowMs(): number {
    return this.now;
  }

  /** Runs `task` after `delayMs`; events of one instant run in the order of their scheduling. */
  after(delayMs: number, task: () => void): ScheduledEvent {
    assert(delayMs >= 0, 'an event cannot lie in the past');
    return this.queue.push(this.now + delayMs, task);
  }

  /** Ends {@link run} after the present event. */
  halt(): void {
    this.halted = true;
  }

  /** Runs events until the queue is empty, `untilMs` is reached (the clock then stands there) or {@link halt} is called. */
  run(untilMs: number): void {
    this.halted = false;
    while (!this.halted && this.step(untilMs));
  }

  /** As {@link run}, for code under test with promises: what an event has settled goes on before the next one begins, as between turns of an event loop. */
  async runWithPromises(untilMs: number): Promise<void> {
    this.halted = false;
    const promises = new PromiseWatch();
    try {
      while (!this.halted && this.step(untilMs)) {
        if (!promises.stirred) continue;
        await promises.rest();
        // By the waiting itself.
        promises.stirred = false;
      }
    } finally {
      promises.close();
    }
  }

  /** Runs the next event; false: there is none until `untilMs`. */
  private step(untilMs: number): boolean {
    const event = this.queue.peek();
    if (event === undefined || event.atMs > untilMs) {
      this.now = Math.max(this.now, untilMs);
      return false;
    }
    this.queue.pop();
    if (event.task === undefined) return true;
    this.now = event.atMs;
    this.steps++;
    const task = event.task;
    event.task = undefined;
    task();
    return true;
  }

  /** Runs events until `done` holds, checked every `everyMs`, at most until `untilMs`. Returns whether it held. */
  runUntil(done: () => boolean, untilMs: number, everyMs = 50): boolean {
    while (!done()) {
      if (this.now >= untilMs) return false;
      this.run(Math.min(untilMs, this.now + everyMs));
      if (this.halted) return done();
    }
    return true;
  }
}

/**
 * Knows when no promise has anything left to do. Most events touch none; waiting after each of them for the longest chain that there might be
 * took a tenth of a run.
 */
class PromiseWatch {
  /** Some promise was made, settled or gone on with since this was last false, or may have been before it was watched. */
  stirred = true;
  readonly close: () => void;

  constructor() {
    const stir = (): void => {
      this.stirred = true;
    };
    this.close = promiseHooks.createHook({ init: stir, before: stir, settled: stir }) as () => void;
  }

  /** Microtasks run in the order they were queued: when nothing stirred between two of ours, there were no others. */
  rest(): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (!this.stirred) {
          resolve();
          return;
        }
        this.stirred = false;
        queueMicrotask(look);
      };
      look();
    });
  }
}

/** Handle of a scheduled event; clearing `task` cancels it. */
export interface ScheduledEvent {
  readonly atMs: number;
  task: (() => void) | undefined;
}

interface QueuedEvent extends ScheduledEvent {
  /** Breaks ties of `atMs`: first scheduled, first run. */
  readonly order: number;
}

/** Binary heap ordered by (time, order of scheduling). */
class EventQueue {
  private readonly heap: QueuedEvent[] = [];
  private order = 0;

  push(atMs: number, task: () => void): ScheduledEvent {
    const event: QueuedEvent = { atMs, order: this.order++, task };
    const heap = this.heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as QueuedEvent;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  peek(): QueuedEvent | undefined {
    return this.heap[0];
  }

  pop(): void {
    const heap = this.heap;
    const last = heap.pop();
    const count = heap.length;
    if (last === undefined || count === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && isBefore(heap[child + 1] as QueuedEvent, heap[child] as QueuedEvent)) child++;
      const below = heap[child] as QueuedEvent;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** What a run did, as a running hash; as text too if a printer is given. */
export class Trace {
  private state = 0x811c9dc5;
  private readonly print: ((line: string) => void) | undefined;

  constructor(print?: (line: string) => void) {
    this.print = print;
  }

  /** uint32; equal for equal runs. */
  get hash(): number {
    return this.state >>> 0;
  }

  /** True if {@link note} prints: spares callers the making of details that nobody reads. */
  get verbose(): boolean {
    return this.print !== undefined;
  }

  /** `what` and `subject` name the event; `detail` is any number that would differ if the run did. */
  note(atMs: number, what: string, subject: string, detail: number): void {
    this.mix(Math.round(atMs * 1000));
    this.mixText(what);
    this.mixText(subject);
    this.mix(detail);
    this.print?.(`${atMs.toFixed(3).padStart(12)}  ${subject.padEnd(16)} ${what} ${detail}`);
  }

  /** A line for the reader only. */
  remark(atMs: number, text: string): void {
    this.print?.(`${atMs.toFixed(3).padStart(12)}  ${text}`);
  }

  private mix(value: number): void {
    this.state = Math.imul(this.state ^ (value & 0xffff), 0x01000193);
    this.state = Math.imul(this.state ^ ((value / 0x1_0000) & 0xffff), 0x01000193);
  }

  private mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.state = Math.imul(this.state ^ text.charCodeAt(i), 0x01000193);
  }
}

/** FNV-1a over bytes: identity of contents for traces and safety checks. uint32. */
export function hashBytes(bytes: Uint8Array, seed = 0x811c9dc5): number {
  let h = seed;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h >>> 0;
}
