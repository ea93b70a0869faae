import { assert, type Clock } from '@kahuna/base';
import type { Scheduler } from '@kahuna/node';
import type { Simulation } from './simulation.ts';

/** How one machine measures time. */
export interface ClockFault {
  /** Wall clock minus true time at the start. Milliseconds. */
  readonly skewMs: number;
  /** Clock seconds per true second, e.g. 1.0002. */
  readonly rate: number;
}

/** Unix time of the simulation's start. Milliseconds. */
const EPOCH_MS = 1_700_000_000_000;

/** Clock of one machine: runs at its own rate, its wall reading can be stepped, its monotonic reading stops while suspended. */
export class SimClock implements Clock {
  private readonly simulation: Simulation;
  private readonly rate: number;
  private offsetMs: number;
  /** True time spent suspended so far. */
  private suspendedMs = 0;
  private suspendedAt: number | undefined;

  constructor(simulation: Simulation, fault: ClockFault) {
    this.simulation = simulation;
    this.rate = fault.rate;
    this.offsetMs = EPOCH_MS + fault.skewMs;
  }

  monotonicMs(): number {
    const awake = (this.suspendedAt ?? this.simulation.nowMs) - this.suspendedMs;
    return 1000 + awake * this.rate;
  }

  wallMs(): number {
    return this.offsetMs + this.simulation.nowMs * this.rate;
  }

  stepWall(ms: number): void {
    this.offsetMs += ms;
  }

  /** Clock milliseconds as true milliseconds. */
  toTrueMs(clockMs: number): number {
    return clockMs / this.rate;
  }

  suspend(): void {
    this.suspendedAt ??= this.simulation.nowMs;
  }

  resume(): void {
    if (this.suspendedAt === undefined) return;
    this.suspendedMs += this.simulation.nowMs - this.suspendedAt;
    this.suspendedAt = undefined;
  }
}

/** What runs after every turn of a process: the place where checkers look. */
export type AfterTurn = () => void;

/**
 * One life of a node's process. Whatever happens to it (timer, frame, disk completion) goes through {@link deliver}: nothing
 * reaches a dead process, and a stopped one finds everything waiting when it goes on.
 */
export class SimProcess implements Scheduler {
  readonly name: string;
  /** Counts the lives of this machine's process. */
  readonly incarnation: number;
  readonly clock: SimClock;
  /** What a turn throws; a real process would end with it. */
  onError: (error: Error) => void = error => {
    throw error;
  };
  private readonly simulation: Simulation;
  private readonly afterTurn: AfterTurn;
  private readonly backlog: { readonly task: () => void; readonly timer: boolean }[] = [];
  private dead = false;
  private stopped = false;

  constructor(simulation: Simulation, clock: SimClock, name: string, incarnation: number, afterTurn: AfterTurn) {
    this.simulation = simulation;
    this.clock = clock;
    this.name = name;
    this.incarnation = incarnation;
    this.afterTurn = afterTurn;
  }

  get isAlive(): boolean {
    return !this.dead;
  }

  get isPaused(): boolean {
    return this.stopped;
  }

  /** Runs `task` as one turn of the event loop: now, when the process goes on, or never if it is dead. */
  deliver(task: () => void, timer = false): void {
    if (this.dead) return;
    if (this.stopped) {
      this.backlog.push({ task, timer });
      return;
    }
    try {
      task();
    } catch (error) {
      this.onError(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.afterTurn();
  }

  soon(task: () => void): void {
    this.simulation.after(0.01 + this.simulation.rng.float() * 0.05, () => this.deliver(task));
  }

  after(ms: number, task: () => void): () => void {
    const timer: { cancelled: boolean } = { cancelled: false };
    const dueMs = this.clock.monotonicMs() + Math.max(0, ms);
    const fire = (): void => {
      if (timer.cancelled) return;
      this.deliver(() => {
        if (timer.cancelled) return;
        // A machine that was suspended meanwhile has lost that time on its monotonic clock.
        if (this.clock.monotonicMs() < dueMs - 0.001) arm();
        else task();
      }, true);
    };
    const arm = (): void => {
      const trueMs = this.clock.toTrueMs(Math.max(0, dueMs - this.clock.monotonicMs()));
      this.simulation.after(trueMs + this.simulation.rng.float(), fire);
    };
    arm();
    return () => {
      timer.cancelled = true;
    };
  }

  /** SIGSTOP: nothing runs, time goes on. */
  pause(): void {
    this.stopped = true;
  }

  /** SIGCONT. Half of the time the timers that came due are run before the frames and completions that waited: event loops do either. */
  resume(): void {
    if (!this.stopped) return;
    this.stopped = false;
    const waiting = this.backlog.splice(0);
    const timersFirst = this.simulation.rng.chance(0.5);
    const ordered = timersFirst ? [...waiting.filter(x => x.timer), ...waiting.filter(x => !x.timer)] : waiting;
    for (const item of ordered) this.deliver(item.task, item.timer);
  }

  /** kill -9. */
  kill(): void {
    assert(!this.dead, 'a process dies once');
    this.dead = true;
    this.backlog.length = 0;
  }
}
