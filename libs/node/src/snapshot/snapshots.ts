import { ByteReader, type PartitionId } from '@kahuna/base';
import { decodeMetaRow, metaRowKey } from '@kahuna/partition';
import { type Member, readConfiguration, writeConfiguration } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import type { Peer } from '../peer.ts';
import { ItemKind } from '../peer-frame.ts';
import type { EngineSnapshot, StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { StateKeeper } from '../state-keeper.ts';
import {
  clearStaged,
  decodeMark,
  divergedKey,
  markDiverged,
  markKey,
  markStaged,
  putInPlace,
  type SnapshotHead,
  stageRows,
  unmark,
} from './snapshot-install.ts';
import { decodeRows, SnapshotSource } from './snapshot-source.ts';

/** Pieces sent and not acknowledged. */
const WINDOW = 4;
/** Snapshots that one node sends, and takes, at a time; the others wait for the leader's next attempt. */
const MAX_SESSIONS = 8;
/** A transfer without any progress for this long is given up. Milliseconds. */
const STALL_MS = 30_000;
/** A peer that could not take a snapshot is left alone this long. Milliseconds. */
const RETRY_MS = 1000;

const Status = { Staged: 0, Installed: 1, Refused: 2 } as const;

interface Sending {
  readonly replica: Replica;
  readonly member: Member;
  readonly peer: Peer;
  readonly id: number;
  readonly head: SnapshotHead;
  readonly source: SnapshotSource;
  sent: number;
  acknowledged: number;
  reading: boolean;
  complete: boolean;
  progressAt: number;
}

interface Receiving {
  readonly replica: Replica;
  readonly peer: Peer;
  readonly from: number;
  readonly id: number;
  readonly head: SnapshotHead;
  expected: number;
  /** The mark is durable: only a restart can interrupt it now. */
  marked: boolean;
  progressAt: number;
}

/**
 * Brings a replica whose log ends below the leader's first entry up to date: the rows of one frozen view of the leader's engine, in pieces, each
 * acknowledged once it is staged on the receiver's engine. Neither side holds more than a window of pieces in memory.
 *
 * S1 The receiver's old state stays in force until the whole snapshot is staged and a mark says so durably; from the mark until its
 *    log has restarted behind the snapshot the replica neither votes, campaigns nor serves, also over a restart.
 * S2 Frames arrive at most once and in order, so a piece out of order means that one was lost: the transfer ends and begins anew.
 */
export class SnapshotTransfers {
  private readonly node: NodeInternals;
  private readonly engine: StateEngine;
  private readonly keeper: StateKeeper;
  private readonly sending = new Map<PartitionId, Map<number, Sending>>();
  private readonly receiving = new Map<PartitionId, Receiving>();
  private readonly marks = new Map<PartitionId, SnapshotHead>();
  private readonly knownDiverged = new Set<PartitionId>();
  private readonly failedAt = new Map<Replica, number>();
  /** Transfers (partition and member) for which a view of the engine is being asked for. */
  private readonly opening = new Set<string>();
  private nextId = 1;
  private sessions = 0;

  constructor(node: NodeInternals, engine: StateEngine, keeper: StateKeeper) {
    this.node = node;
    this.engine = engine;
    this.keeper = keeper;
  }

  // ---- sending ---------------------------------------------------------------------------------------------------------------

  send(replica: Replica, member: Member): void {
    const peer = this.node.peerByNode(member.nodeId);
    const toPartition = this.sending.get(replica.partitionId);
    const name = `${replica.partitionId}/${member.replicaId}`;
    const now = this.node.monotonicMs();
    const waits = now - (this.failedAt.get(replica) ?? Number.NEGATIVE_INFINITY) < RETRY_MS;
    if (toPartition?.has(member.replicaId) || this.opening.has(name)) return;
    // A state that a quorum does not have is given to nobody.
    if (peer?.connected !== true || replica.diverged || this.sessions >= MAX_SESSIONS || waits) {
      this.node.after(RETRY_MS, () => this.giveUp(replica, member.replicaId));
      return;
    }
    this.sessions++;
    this.opening.add(name);
    // What is applied and not yet in the engine must be in the snapshot as far as the log may be compacted.
    this.keeper.flush(() => {
      this.engine.snapshot((error, view) => {
        if (this.node.failedEngine(error) || view === undefined) view?.close();
        else this.open(replica, member, peer, view, () => this.opening.delete(name));
      });
    });
  }

  private giveUp(replica: Replica, replicaId: number): void {
    if (!replica.leads) return;
    replica.group.snapshotFailed(replicaId);
    this.node.wake(replica);
  }

  private open(replica: Replica, member: Member, peer: Peer, view: EngineSnapshot, opened: () => void): void {
    view.getMany([metaRowKey(replica.partitionId)], (error, rows) => {
      opened();
      if (this.node.failedEngine(error)) {
        view.close();
        return;
      }
      const row = rows[0];
      if (row === undefined || !replica.mayServe || !peer.connected) {
        view.close();
        this.sessions--;
        this.giveUp(replica, member.replicaId);
        return;
      }
      const state = decodeMetaRow(row);
      const head = {
        index: state.appliedIndex,
        term: state.appliedTerm,
        configuration: state.configuration ?? replica.baseConfiguration,
      };
      const source = new SnapshotSource(view, replica.machine.extent(), this.node.settings.snapshotChunkBytes);
      const sending: Sending = {
        replica,
        member,
        peer,
        id: this.nextId++,
        head,
        source,
        sent: 0,
        acknowledged: 0,
        reading: false,
        complete: false,
        progressAt: this.node.monotonicMs(),
      };
      const toPartition = this.sending.get(replica.partitionId) ?? new Map<number, Sending>();
      this.sending.set(replica.partitionId, toPartition);
      toPartition.set(member.replicaId, sending);
      this.node.events.record(
        'snapshot-sending',
        'info',
        `partition/${replica.partitionId}`,
        `sending a snapshot of partition ${replica.partitionId} to ${peer.hello?.name ?? peer.endpoint}`,
        {
          partitionId: replica.partitionId,
          index: head.index,
          nodeId: peer.nodeId,
        },
      );
      this.pump(sending);
    });
  }

  private isCurrent(sending: Sending): boolean {
    return this.sending.get(sending.replica.partitionId)?.get(sending.member.replicaId) === sending;
  }

  private pump(sending: Sending): void {
    if (sending.reading || sending.complete || sending.sent - sending.acknowledged >= WINDOW) return;
    sending.reading = true;
    sending.source.next((error, chunk, last) => {
      if (this.node.failedEngine(error) || !this.isCurrent(sending)) return;
      sending.reading = false;
      sending.complete = last;
      const writer = this.node.writeTo(sending.peer);
      writer.u8(ItemKind.Snapshot);
      writer.varint(sending.replica.partitionId);
      writer.varint(sending.member.replicaId);
      writer.varint(sending.replica.replicaId);
      writer.varint(sending.replica.group.term);
      writer.varint(sending.id);
      writer.varint(sending.sent++);
      writer.u8(last ? 1 : 0);
      writer.varint(sending.head.index);
      writer.varint(sending.head.term);
      writeConfiguration(writer, sending.head.configuration);
      writer.bytes(chunk);
      this.pump(sending);
    });
  }

  private takeAck(reader: ByteReader): void {
    const partitionId = reader.varint();
    const from = reader.varint();
    const id = reader.varint();
    const count = reader.varint();
    const status = reader.u8();
    const sending = this.sending.get(partitionId)?.get(from);
    if (sending === undefined || sending.id !== id) return;
    sending.acknowledged = count;
    sending.progressAt = this.node.monotonicMs();
    if (status === Status.Staged) {
      this.pump(sending);
      return;
    }
    this.end(sending);
    const { replica } = sending;
    if (!replica.leads) return;
    if (status === Status.Installed) {
      this.node.counters.snapshotsSent++;
      replica.group.snapshotSent(from, sending.head.index);
      this.node.wake(replica);
    } else {
      replica.snapshotFailures++;
      this.failedAt.set(replica, this.node.monotonicMs());
      this.giveUp(replica, from);
    }
  }

  private end(sending: Sending): void {
    if (!this.isCurrent(sending)) return;
    this.sending.get(sending.replica.partitionId)?.delete(sending.member.replicaId);
    this.sessions--;
    sending.source.close();
  }

  // ---- receiving -------------------------------------------------------------------------------------------------------------

  takeItem(kind: number, peer: Peer, reader: ByteReader): void {
    if (kind === ItemKind.SnapshotAck) {
      this.takeAck(reader);
      return;
    }
    const partitionId = reader.varint();
    const to = reader.varint();
    const from = reader.varint();
    const senderTerm = reader.varint();
    const id = reader.varint();
    const seq = reader.varint();
    const last = reader.u8() === 1;
    const head: SnapshotHead = { index: reader.varint(), term: reader.varint(), configuration: readConfiguration(reader) };
    const chunk = reader.bytes();
    const replica = this.node.replica(partitionId);
    if (replica === undefined || replica.replicaId !== to || senderTerm < replica.group.term) return;
    const session = seq === 0 ? this.begin(replica, peer, from, id, head) : this.receiving.get(partitionId);
    if (session === undefined || session.id !== id || session.peer !== peer || session.marked) return;
    if (session.expected !== seq) {
      this.drop(session);
      this.acknowledge(session, Status.Refused);
      return;
    }
    session.expected++;
    session.progressAt = this.node.monotonicMs();
    this.stage(session, chunk, last);
  }

  private begin(replica: Replica, peer: Peer, from: number, id: number, head: SnapshotHead): Receiving | undefined {
    const { partitionId } = replica;
    const session: Receiving = { replica, peer, from, id, head, expected: 0, marked: false, progressAt: this.node.monotonicMs() };
    if (replica.installing || (this.receiving.size >= MAX_SESSIONS && !this.receiving.has(partitionId))) {
      this.acknowledge(session, Status.Refused);
      return undefined;
    }
    if (isNotNeeded(replica, head)) {
      this.acknowledge(session, Status.Installed);
      return undefined;
    }
    if (isBehindLog(replica, head)) {
      this.acknowledge(session, Status.Refused);
      return undefined;
    }
    this.receiving.set(partitionId, session);
    clearStaged(this.engine, partitionId, error => this.node.failedEngine(error));
    return session;
  }

  private stage(session: Receiving, chunk: Uint8Array, last: boolean): void {
    const { partitionId } = session.replica;
    const count = session.expected;
    stageRows(this.engine, partitionId, decodeRows(new ByteReader(chunk)), error => {
      if (this.node.failedEngine(error) || this.receiving.get(partitionId) !== session) return;
      if (!last) {
        this.acknowledge(session, Status.Staged, count);
        return;
      }
      this.install(session);
    });
  }

  private install(session: Receiving): void {
    const { replica, head } = session;
    if (replica.leads || isNotNeeded(replica, head) || isBehindLog(replica, head)) {
      this.drop(session);
      this.acknowledge(session, Status.Installed);
      return;
    }
    session.marked = true;
    replica.installing = true;
    // A flush under way would write rows of the old state behind the new ones.
    this.keeper.flush(() => {
      markStaged(this.engine, replica.partitionId, head, error => {
        if (this.node.failedEngine(error)) return;
        this.replace(replica, head, () => {
          this.receiving.delete(replica.partitionId);
          this.acknowledge(session, Status.Installed);
        });
      });
    });
  }

  private replace(replica: Replica, head: SnapshotHead, done: () => void): void {
    const { partitionId } = replica;
    const fail = (error: Error | undefined): boolean => this.node.failedEngine(error);
    putInPlace(this.engine, partitionId, replica.machine.extent(), placed => {
      if (fail(placed)) return;
      this.fitLog(replica, head, () => {
        unmark(this.engine, partitionId, unmarked => {
          if (fail(unmarked)) return;
          this.engine.getMany([metaRowKey(partitionId)], (error, rows) => {
            const row = rows[0];
            if (fail(error)) return;
            if (row === undefined) {
              this.node.fatal(`partition ${partitionId}: a snapshot without its group row was installed`);
              return;
            }
            this.finish(replica, head, row);
            done();
          });
        });
      });
    });
  }

  /** A log that has the snapshot's entry keeps what stands behind it, because that was acknowledged; any other restarts there. */
  private fitLog(replica: Replica, head: SnapshotHead, done: () => void): void {
    if (standsInLog(replica, head)) done();
    else this.keeper.writeStart(replica.partitionId, replica.replicaId, head.index, head.term, head.configuration, true, done);
  }

  private finish(replica: Replica, head: SnapshotHead, metaRow: Uint8Array): void {
    const { group, machine } = replica;
    machine.restore(metaRow);
    if (standsInLog(replica, head)) group.rewind(head.index);
    else group.restore(head.index, head.term, head.configuration);
    this.knownDiverged.delete(replica.partitionId);
    replica.restored(head.configuration);
    this.marks.delete(replica.partitionId);
    this.node.counters.snapshotsInstalled++;
    this.node.hlc.observe(machine.lastStamp);
    this.node.events.record(
      'snapshot-installed',
      'info',
      `partition/${replica.partitionId}`,
      `installed a snapshot of partition ${replica.partitionId} at ${head.index}`,
      {
        partitionId: replica.partitionId,
        index: head.index,
      },
    );
    if (replica.partitionId < 2) this.node.systemChanged(replica);
    this.node.wake(replica);
  }

  private acknowledge(session: Receiving, status: number, count = session.expected): void {
    if (!session.peer.connected) return;
    const writer = this.node.writeTo(session.peer);
    writer.u8(ItemKind.SnapshotAck);
    writer.varint(session.replica.partitionId);
    writer.varint(session.replica.replicaId);
    writer.varint(session.id);
    writer.varint(count);
    writer.u8(status);
  }

  private drop(session: Receiving): void {
    if (session.marked || this.receiving.get(session.replica.partitionId) !== session) return;
    this.receiving.delete(session.replica.partitionId);
    clearStaged(this.engine, session.replica.partitionId, error => this.node.failedEngine(error));
  }

  // ---- restart, links, time --------------------------------------------------------------------------------------------------

  /** Reads what earlier processes left: marks of interrupted installs, and which replicas had diverged. Before the groups are made. */
  recover(partitionIds: readonly PartitionId[], done: (error: Error | undefined) => void): void {
    this.engine.getMany([...partitionIds.map(markKey), ...partitionIds.map(divergedKey)], (error, rows) => {
      if (error !== undefined) {
        done(error);
        return;
      }
      partitionIds.forEach((partitionId, i) => {
        const mark = rows[i];
        if (mark !== undefined) this.marks.set(partitionId, decodeMark(mark));
        if (rows[partitionIds.length + i] !== undefined) this.knownDiverged.add(partitionId);
      });
      done(undefined);
    });
  }

  /** An earlier process found this node's state of the partition to differ from a quorum's. */
  hadDiverged(partitionId: PartitionId): boolean {
    return this.knownDiverged.has(partitionId);
  }

  /** The replica's state is not what a quorum has: remembered over restarts, until a snapshot replaces it. */
  diverged(replica: Replica, index: number): void {
    const { partitionId } = replica;
    this.knownDiverged.add(partitionId);
    markDiverged(this.engine, partitionId, index, error => this.node.failedEngine(error));
  }

  /** The install that a crash interrupted, if any. */
  marked(partitionId: PartitionId): SnapshotHead | undefined {
    return this.marks.get(partitionId);
  }

  resumeInstalls(): void {
    for (const [partitionId, head] of this.marks) {
      const replica = this.node.replica(partitionId);
      if (replica !== undefined) this.replace(replica, head, () => undefined);
    }
  }

  private giveUpWhere(lost: (sending: Sending) => boolean): void {
    for (const toPartition of this.sending.values()) {
      for (const sending of [...toPartition.values()]) {
        if (!lost(sending)) continue;
        this.end(sending);
        this.giveUp(sending.replica, sending.member.replicaId);
      }
    }
  }

  /** The node stops or has failed: no view of the engine stays open. */
  endAll(): void {
    for (const toPartition of this.sending.values()) for (const sending of [...toPartition.values()]) this.end(sending);
  }

  linkLost(peer: Peer): void {
    this.giveUpWhere(sending => sending.peer === peer);
    for (const session of [...this.receiving.values()]) if (session.peer === peer) this.drop(session);
  }

  tick(now: number): void {
    this.giveUpWhere(sending => !sending.replica.mayServe || now - sending.progressAt > STALL_MS);
    for (const session of [...this.receiving.values()]) if (now - session.progressAt > STALL_MS) this.drop(session);
  }
}

/** The log has caught up meanwhile, and the state comes from it (Raft §7, figure 13 step 6); unless that state is known to be wrong. */
function isNotNeeded(replica: Replica, head: SnapshotHead): boolean {
  return !replica.diverged && (head.index <= replica.group.commitIndex || standsInLog(replica, head));
}

/** Older than the log's first entry: what lies between could not be applied again. */
function isBehindLog({ group }: Replica, head: SnapshotHead): boolean {
  return head.index < group.firstIndex - 1;
}

/** Replacing the log would lose entries behind the snapshot that were acknowledged. */
function standsInLog({ group }: Replica, head: SnapshotHead): boolean {
  return group.termAt(head.index) === head.term;
}
