import { ByteReader, DecodeError, type PartitionId } from '@kahuna/base';
import { decodeMessage, type Message, MessageType } from '@kahuna/raft';
import type { Dispatcher } from '../dispatcher.ts';
import type { FactsExchange } from '../facts-exchange.ts';
import type { NodeInternals } from '../internals.ts';
import type { Leases } from '../leases.ts';
import type { Listings } from '../listings.ts';
import type { Peer } from '../peer.ts';
import { type FrameHeader, ItemKind, readHeader } from '../peer-frame.ts';
import type { Replica } from '../replica.ts';
import type { Scans } from '../scan/scans.ts';
import type { ChecksumExchange } from '../snapshot/checksum-exchange.ts';
import type { SnapshotTransfers } from '../snapshot/snapshots.ts';
import type { Heartbeats } from './heartbeats.ts';
import type { Leadership } from './leadership.ts';
import { isAnswer } from './log-pipeline.ts';
import type { NodeClock } from './node-clock.ts';
import type { RunQueue } from './run-queue.ts';
import type { Transfers } from './transfers.ts';

/** The rooms that frames bring something for. */
export interface IntakeRooms {
  readonly queue: RunQueue;
  readonly clock: NodeClock;
  readonly leases: Leases;
  readonly leadership: Leadership;
  readonly heartbeats: Heartbeats;
  readonly transfers: Transfers;
  readonly dispatcher: Dispatcher;
  readonly scans: Scans;
  readonly snapshots: SnapshotTransfers;
  readonly listings: Listings;
  readonly exchange: FactsExchange;
  readonly checksums: ChecksumExchange<Replica>;
}

/**
 * Frames from the peers: decides whether one may take effect, and gives each of its items to the room that it is for.
 *
 * F1 A frame takes effect at most once and in order; not after the process that it was meant for is gone (see `peer-frame.ts`).
 * F2 The clock has seen what a frame tells before anything in the frame is looked at, and the stamps of entries before a group takes
 *    them: what this node stamps from then on is above both.
 */
export class FrameIntake {
  private readonly node: NodeInternals;
  private readonly rooms: IntakeRooms;

  constructor(node: NodeInternals, rooms: IntakeRooms) {
    this.node = node;
    this.rooms = rooms;
  }

  /** A frame that cannot be read counts as lost from there on; that is told, and the link lives on. */
  take(peer: Peer, frame: Uint8Array): void {
    const { node } = this;
    node.counters.framesIn++;
    node.counters.bytesIn += frame.length;
    try {
      const reader = new ByteReader(frame);
      const header = readHeader(reader);
      if (!peer.admits(header, node.boot)) return;
      if (!node.hlc.merge(header.clock) && peer.tellsOfSkew(node.monotonicMs())) this.tellSkew(peer);
      while (reader.remaining > 0) this.takeItem(peer, header, reader);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      node.events.record('bad-frame', 'warning', `node/${peer.nodeId}`, `${peer.endpoint}: ${error.message}`);
    }
    this.rooms.queue.schedule();
  }

  private tellSkew({ nodeId, hello, endpoint }: Peer): void {
    const text = `the clock of ${hello?.name ?? endpoint} is more than 5 s ahead`;
    this.node.events.record('clock-skew', 'warning', `node/${nodeId}`, text, { nodeId });
  }

  private takeItem(peer: Peer, header: FrameHeader, reader: ByteReader): void {
    const { rooms } = this;
    const kind = reader.u8();
    switch (kind) {
      case ItemKind.Heartbeat:
        rooms.heartbeats.take(peer, reader);
        return;
      case ItemKind.HeartbeatAck:
        rooms.heartbeats.takeAnswer(peer, reader);
        return;
      case ItemKind.Raft:
        this.takeMessage(header, reader);
        return;
      case ItemKind.Forward:
        rooms.dispatcher.takeForward(reader, header, peer);
        return;
      case ItemKind.ForwardAnswer:
        rooms.dispatcher.takeForwardAnswer(reader);
        return;
      case ItemKind.Scan:
      case ItemKind.ScanPage:
      case ItemKind.ScanMore:
      case ItemKind.ScanEnd:
        rooms.scans.takeItem(kind, peer, reader);
        return;
      case ItemKind.Snapshot:
      case ItemKind.SnapshotAck:
        rooms.snapshots.takeItem(kind, peer, reader);
        return;
      case ItemKind.Listing:
      case ItemKind.ListingPart:
        rooms.listings.takeItem(kind, peer, reader);
        return;
      case ItemKind.FactsRequest:
      case ItemKind.Facts:
        rooms.exchange.takeItem(kind, peer, reader);
        return;
      case ItemKind.Checksum:
        rooms.checksums.takeItem(peer, reader);
        return;
      case ItemKind.Transfer:
        // Whoever does not lead any more lets it be: the one who asked sees who leads.
        rooms.transfers.begin(reader.varint(), reader.varint());
        return;
      default:
        throw new DecodeError(`unknown item ${kind}`);
    }
  }

  private takeMessage(header: FrameHeader, reader: ByteReader): void {
    const { steps } = this.node.meters;
    const partitionId = reader.varint();
    const message = decodeMessage(reader);
    if (message.type === MessageType.Append || message.type === MessageType.AppendResponse) steps.replication++;
    else steps.control++;
    this.stepGroup(header, partitionId, message);
  }

  private stepGroup(header: FrameHeader, partitionId: PartitionId, message: Message): void {
    const { queue, clock, leases, leadership } = this.rooms;
    const replica = this.node.replica(partitionId);
    if (replica === undefined || message.to !== replica.replicaId) return;
    // Entries taken now would be acknowledged and then go with the log that the snapshot replaces.
    if (replica.installing && message.type !== MessageType.Heartbeat) return;
    if (replica.diverged && message.type === MessageType.TimeoutNow) return;
    if (isElection(message) && clock.isAhead) return;
    if (message.type === MessageType.VoteResponse && !message.reject) this.node.hlc.observe(header.clock);
    for (const entry of message.entries) clock.observeStamp(entry);
    replica.group.step(message, leases.votesAreBound(replica));
    leadership.observe(replica);
    if (replica.leads && message.term === replica.group.term) {
      replica.heardInTerm.set(message.from, header.senderBoot);
      if (isAnswer(message)) answeredBy(replica, message.from, header);
    }
    queue.awake.add(replica);
    queue.wake(replica);
  }
}

/** Under this boot and allegiance the member has answered this leadership (see `leases.ts`). */
function answeredBy(replica: Replica, member: number, { senderBoot, allegiance }: FrameHeader): void {
  const answered = replica.answered.get(member);
  if (answered === undefined) replica.answered.set(member, { boot: senderBoot, allegiance });
  else {
    answered.boot = senderBoot;
    answered.allegiance = allegiance;
  }
}

/** What may end in a new leader, which must stamp above every time that its voters have told. */
function isElection({ type }: Message): boolean {
  return type === MessageType.Vote || type === MessageType.TimeoutNow;
}
