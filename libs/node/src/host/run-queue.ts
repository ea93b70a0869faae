import type { Scheduler } from '../ports.ts';
import type { Replica } from '../replica.ts';

/**
 * Which replicas have something to do, and when the node looks at them: however many ask, at most once per turn of the event loop.
 *
 *     asleep ──wake──▶ awake and dirty ──turn──▶ awake ──tick finds no work──▶ asleep
 *
 * Q1 A dirty replica stands in the list of the next turn exactly once, and a turn is scheduled.
 * Q2 A dirty replica is awake: whatever is begun for it may have to be asked for again, since a peer may never answer.
 */
export class RunQueue {
  /** Replicas that are ticked; the others sleep (see `group-ticks.ts`). */
  readonly awake = new Set<Replica>();
  /** A turn is running: it sends what is written meanwhile when it ends. */
  turning = false;
  private dirty: Replica[] = [];
  private scheduled = false;
  private readonly scheduler: Scheduler;
  private readonly task: () => void;

  constructor(scheduler: Scheduler, turn: () => void) {
    this.scheduler = scheduler;
    this.task = () => {
      this.scheduled = false;
      turn();
    };
  }

  /** The replica has something to do in the next turn. */
  wake(replica: Replica): void {
    if (!replica.dirty) {
      this.awake.add(replica);
      replica.dirty = true;
      this.dirty.push(replica);
    }
    this.schedule();
  }

  /** A turn follows, be there replicas to look at or not. */
  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.scheduler.soon(this.task);
  }

  /** What a turn looks at; it clears `dirty` of each as it comes to it. What is woken from now on belongs to the next turn. */
  take(): readonly Replica[] {
    const { dirty } = this;
    this.dirty = [];
    return dirty;
  }
}
