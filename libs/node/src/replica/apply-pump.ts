import { FIRST_DATA_PARTITION } from '@kahuna/base';
import { type CommandBatch, decodeBatch } from '@kahuna/partition';
import { decodeConfiguration, type Entry, EntryKind } from '@kahuna/raft';
import type { Proposals } from './proposals.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';

/** Entries between two looks at the clock; a power of two. */
const ENTRIES_PER_LOOK = 16;
/** Applied entries that are let go of where more than they are would have to move up. */
const MIN_DROPPED = 256;

/**
 * Brings what is committed into the state machine, one entry after the other, and tells those who proposed it.
 *
 * A1 Entries are applied in index order, each once. One that needs rows of the engine waits for them, and everything behind it.
 * A2 An entry that this version cannot evaluate stops the node: skipping it would let replicas diverge.
 * A3 Nothing is applied while a snapshot takes the state's place.
 */
export class ApplyPump<R extends OwnReplica> {
  private readonly replica: R;
  private readonly host: ReplicaHostOf<R>;
  private readonly proposals: Proposals<R>;
  private committed: Entry[] = [];
  /** Position of the next one in there. */
  private next = 0;
  /** Rows are under way. */
  private fetching = false;

  constructor(replica: R, host: ReplicaHostOf<R>, proposals: Proposals<R>) {
    this.replica = replica;
    this.host = host;
    this.proposals = proposals;
  }

  /** Entries decided and not yet applied. */
  get backlog(): number {
    return this.committed.length - this.next;
  }

  take(entries: readonly Entry[]): void {
    for (const entry of entries) this.committed.push(entry);
  }

  /**
   * Applies until there is nothing left, a row must be fetched, or `budgetMs` is used up.
   * Returns true if it wants to go on in a later turn.
   */
  run(budgetMs: number): boolean {
    if (this.fetching || this.replica.installing) return false;
    const until = this.host.monotonicMs() + budgetMs;
    let count = 0;
    while (this.next < this.committed.length) {
      const entry = this.committed[this.next] as Entry;
      if (!this.applyOne(entry)) {
        this.dropApplied();
        return false;
      }
      this.next++;
      if ((++count & (ENTRIES_PER_LOOK - 1)) === 0 && this.host.monotonicMs() > until) {
        this.dropApplied();
        return true;
      }
    }
    this.clear();
    return false;
  }

  /** Under a steady load there may always be a next one: what is applied must not pile up before it. */
  private dropApplied(): void {
    if (this.next < MIN_DROPPED && this.next < this.backlog) return;
    this.committed.splice(0, this.next);
    this.next = 0;
  }

  /** Also when a snapshot replaced the state: what was committed before is in it. */
  clear(): void {
    this.committed.length = 0;
    this.next = 0;
  }

  /** Returns false if rows must be fetched first; then the pump is started again when they are here. */
  private applyOne(entry: Entry): boolean {
    const { replica, host } = this;
    const { machine } = replica;
    if (entry.kind === EntryKind.Command) {
      const batch = this.proposals.batchOf(entry) ?? this.decode(entry);
      if (batch === undefined) return false;
      const keys = machine.needs(batch);
      if (keys.length > 0) {
        this.fetch(keys);
        return false;
      }
      const results = machine.apply(entry.index, entry.term, batch);
      replica.writeCount += results.length;
      this.proposals.settleAt(entry, results);
    } else {
      const configuration = entry.kind === EntryKind.Configuration ? decodeConfiguration(entry.data) : undefined;
      machine.applyEmpty(entry.index, entry.term, configuration);
      // A first entry of a term lets repeats and reads go on; a configuration may be followed by its second half.
      host.wake(replica);
      this.proposals.settleAt(entry, undefined);
    }
    replica.group.applied(entry.index);
    if (entry.index === replica.comparedIndex) host.comparedIndexReached(replica);
    // P0 and P1 hold what the node knows of its cluster.
    if (replica.partitionId < FIRST_DATA_PARTITION) host.systemChanged(replica);
    return true;
  }

  private fetch(keys: readonly Uint8Array[]): void {
    this.fetching = true;
    this.host.fetchForApply(this.replica, keys, () => {
      this.fetching = false;
      this.host.wake(this.replica);
    });
  }

  private decode(entry: Entry): CommandBatch | undefined {
    try {
      return decodeBatch(entry.data);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const { partitionId } = this.replica;
      this.host.fatal(`partition ${partitionId}: entry ${entry.index} cannot be evaluated by this version: ${why}`);
      return undefined;
    }
  }
}
