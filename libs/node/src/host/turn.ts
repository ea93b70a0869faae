import type { CommitNotices } from '../commit-notices.ts';
import type { Dispatcher } from '../dispatcher.ts';
import type { NodeInternals } from '../internals.ts';
import type { Replica } from '../replica.ts';
import type { ChecksumExchange } from '../snapshot/checksum-exchange.ts';
import type { SnapshotTransfers } from '../snapshot/snapshots.ts';
import type { StateKeeper } from '../state-keeper.ts';
import type { EngineReads } from './engine-reads.ts';
import type { Leadership } from './leadership.ts';
import { type LogPipeline, type LogWrite, sendCurrent } from './log-pipeline.ts';
import type { MessageSender, Outbox } from './outbox.ts';
import type { RunQueue } from './run-queue.ts';

/** The rooms that a turn walks through. */
export interface TurnRooms {
  readonly queue: RunQueue;
  readonly log: LogPipeline;
  readonly sender: MessageSender;
  readonly outbox: Outbox;
  readonly leadership: Leadership;
  readonly reads: EngineReads;
  readonly keeper: StateKeeper;
  readonly checksums: ChecksumExchange<Replica>;
  readonly commitNotices: CommitNotices;
  readonly snapshots: SnapshotTransfers;
  readonly dispatcher: Dispatcher;
}

/**
 * The node's one loop body. Everything that gathered since the last turn is done for all groups together, in this order:
 *
 *     propose ─▶ take each Ready, appends into frames ─▶ send ─▶ begin one log write ─▶ apply, answer reads ─▶ ask the engine ─▶ send
 *
 * Appends leave before the own write begins: replicas persist in parallel (design §2). What that write promises leaves when it is
 * durable, and the next turn goes on meanwhile (see `log-pipeline.ts`). Nothing in a turn waits.
 */
export class Turn {
  private readonly node: NodeInternals;
  private readonly rooms: TurnRooms;

  constructor(node: NodeInternals, rooms: TurnRooms) {
    this.node = node;
    this.rooms = rooms;
  }

  run(): void {
    const { queue, log, outbox, reads, dispatcher } = this.rooms;
    if (queue.turning) return;
    queue.turning = true;
    const dirty = queue.take();
    const write: LogWrite = { records: [], parts: [] };
    for (const replica of dirty) {
      replica.dirty = false;
      replica.proposeQueued();
      this.takeReady(replica, write);
    }
    outbox.send();
    if (write.records.length > 0) log.append(write);
    const { applyBudgetMs } = this.node.settings;
    for (const replica of dirty) {
      if (replica.pumpApply(applyBudgetMs)) queue.wake(replica);
      replica.serveReads();
      this.afterApply(replica);
    }
    reads.start();
    dispatcher.completeDeferred();
    outbox.send();
    queue.turning = false;
  }

  private takeReady(replica: Replica, write: LogWrite): void {
    const { group } = replica;
    const { log, sender, commitNotices, snapshots, leadership } = this.rooms;
    for (let ready = group.ready(); ready !== undefined; ready = group.ready()) {
      sendCurrent(sender, replica, ready.appends);
      log.take(write, replica, ready);
      if (replica.leads && ready.committed.length > 0 && this.node.peers.size > 0) commitNotices.committed(replica);
      replica.take(ready);
      for (const member of ready.snapshots) snapshots.send(replica, member);
    }
    leadership.observe(replica);
  }

  /** The state goes to the engine behind us; leadership may be usable now. */
  private afterApply(replica: Replica): void {
    const { keeper, checksums, leadership } = this.rooms;
    keeper.applied(replica);
    checksums.applied(replica);
    leadership.observe(replica);
    leadership.serveOnceReady(replica);
  }
}
