import { HLC_ZERO, type Hlc } from '@kahuna/base';
import { lastStampOf } from '@kahuna/partition';
import { type Entry, EntryKind } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import type { LogStore } from '../ports.ts';
import type { RunQueue } from './run-queue.ts';

/**
 * The node's share in keeping the hybrid logical clock (design §5, Stamps): its bound in the log, what it learns from entries, and what
 * frames tell of it.
 *
 * C1 The clock never passes the bound that is durable in the log; a restarted node begins above it.
 * C2 While the clock is ahead of the present after a restart, it is told to nobody, and nothing that promises a time is sent.
 */
export class NodeClock {
  private readonly node: NodeInternals;
  private readonly log: LogStore;
  private readonly queue: RunQueue;
  private boundRequested = 0;
  /** Monotonic instant before which frames do not tell the clock. */
  private toldFrom = 0;

  constructor(node: NodeInternals, log: LogStore, queue: RunQueue) {
    this.node = node;
    this.log = log;
    this.queue = queue;
  }

  /** The node begins to serve. */
  begin(now: number): void {
    this.toldFrom = now + this.node.hlc.waitBeforeServingMs();
  }

  /** It may run ahead of the present, above everything that the former life may have stamped. */
  get isAhead(): boolean {
    return this.node.monotonicMs() < this.toldFrom;
  }

  /**
   * What frames tell of this node's clock. It begins above everything that the former life may have stamped, ahead of the present;
   * others must not follow it there, or leases everywhere would end early. Nothing that promises a time is sent before that has passed.
   */
  readonly told = (): Hlc => (this.isAhead ? HLC_ZERO : this.node.hlc.current());

  /** Asks for a higher bound in time. What waited because the clock had reached the last one goes on once the new one is durable. */
  requestBound(): void {
    const { hlc } = this.node;
    const wanted = hlc.boundWanted();
    if (wanted === undefined || wanted <= this.boundRequested) return;
    this.boundRequested = wanted;
    this.log.append([], wanted, error => {
      if (error !== undefined) {
        this.node.fatal(`log write failed: ${error.message}`);
        return;
      }
      const wasHeldBack = hlc.isHeldBack;
      hlc.boundDurable(wanted);
      if (wasHeldBack) for (const replica of this.queue.awake) if (replica.hasWork) this.queue.wake(replica);
    });
  }

  /** Appending an entry, not only applying it, advances the clock. */
  observeStamp(entry: Entry): void {
    if (entry.kind !== EntryKind.Command) return;
    try {
      this.node.hlc.observe(lastStampOf(entry.data));
    } catch (error) {
      this.node.fatal(
        `entry ${entry.index} cannot be read by this version: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
