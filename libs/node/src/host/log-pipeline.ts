import { type Message, MessageType, type RaftGroup, type Ready } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import type { LogRecord, LogStore } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { MessageSender } from './outbox.ts';
import type { RunQueue } from './run-queue.ts';

/** One group's part of a log write. */
interface PendingPersist {
  readonly replica: Replica;
  readonly group: RaftGroup;
  /** Of the last entry, 0 if there is none. */
  readonly index: number;
  readonly term: number;
  /** They promise what is written. */
  readonly messages: Message[];
}

/** What one turn has for the log, of all groups together. */
export interface LogWrite {
  readonly records: LogRecord[];
  readonly parts: PendingPersist[];
}

/**
 * From a group's Ready to the disk and back: group commit over all groups of the node. Several writes may be under way; they complete in
 * the order in which they were begun.
 *
 *     Ready ──take──▶ the turn's write ──append──▶ under way ──durable──▶ group.persisted, promises leave
 *
 * N1 A message in `Ready.promises` leaves only after the log write of its Ready and of all earlier ones of its group.
 * N5 An answer leaves only to the leader that is followed when it leaves.
 */
export class LogPipeline {
  private readonly node: NodeInternals;
  private readonly log: LogStore;
  private readonly sender: MessageSender;
  private readonly queue: RunQueue;
  /** The newest write with a part of the group, while it is not durable. */
  private readonly lastWrite = new Map<Replica, LogWrite>();

  constructor(node: NodeInternals, log: LogStore, sender: MessageSender, queue: RunQueue) {
    this.node = node;
    this.log = log;
    this.sender = sender;
    this.queue = queue;
  }

  /** What this Ready has to persist joins the write; its promises wait for that. */
  take(write: LogWrite, replica: Replica, ready: Ready): void {
    if (ready.hardState !== undefined || ready.entries.length > 0) {
      write.records.push({
        partitionId: replica.partitionId,
        replicaId: replica.replicaId,
        hardState: ready.hardState,
        entries: ready.entries,
        start: undefined,
      });
      const last = ready.entries.at(-1);
      const messages = [...ready.promises];
      write.parts.push({ replica, group: replica.group, index: last?.index ?? 0, term: last?.term ?? 0, messages });
      this.lastWrite.set(replica, write);
    } else if (ready.promises.length > 0) {
      this.promise(replica, ready.promises);
    }
  }

  /** Promises without anything of their own to persist wait for the last write of their group, if there is one. */
  private promise(replica: Replica, messages: readonly Message[]): void {
    const part = this.lastWrite.get(replica)?.parts.findLast(candidate => candidate.replica === replica);
    if (part !== undefined) part.messages.push(...messages);
    else sendCurrent(this.sender, replica, messages);
  }

  append(write: LogWrite): void {
    const { counters, meters } = this.node;
    counters.logWrites++;
    counters.logRecords += write.records.length;
    meters.logBatchSize.record(write.records.length);
    const begun = this.node.monotonicMs();
    this.log.append(write.records, undefined, error => {
      if (error !== undefined) {
        this.node.fatal(`log write failed: ${error.message}`);
        return;
      }
      if (!this.node.running) return;
      this.node.logLatency.record(this.node.monotonicMs() - begun);
      for (const part of write.parts) this.persisted(write, part);
    });
  }

  private persisted(write: LogWrite, part: PendingPersist): void {
    const { replica, group } = part;
    if (this.lastWrite.get(replica) === write) this.lastWrite.delete(replica);
    if (part.index > 0) {
      if (group.termAt(part.index) !== part.term) replica.staleCompletions++;
      group.persisted(part.index, part.term);
    }
    sendCurrent(this.sender, replica, part.messages);
    this.queue.wake(replica);
  }
}

/**
 * Sends them, but for answers to a leader that was left since they were written, with its term or within it: an answer would be read as loyalty
 * under today's allegiance, so that promises to that leader's node would make a lease for it and bind no vote here (see `peer.ts`).
 */
export function sendCurrent(sender: MessageSender, replica: Replica, messages: readonly Message[]): void {
  const { group } = replica;
  for (const message of messages) {
    if (!isAnswer(message) || (message.term === group.term && message.to === group.leaderId))
      sender.sendMessage(replica, message);
  }
}

/** A follower's word to its leader. A refusal is none: it may go to one who was deposed, to tell the term. */
export function isAnswer({ type, reject }: Message): boolean {
  return !reject && (type === MessageType.AppendResponse || type === MessageType.HeartbeatResponse);
}
