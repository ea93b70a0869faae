import { DecodeError } from '@kahuna/base';
import type { Dispatcher } from '../dispatcher.ts';
import { decodeHello, type Hello } from '../hello.ts';
import type { NodeInternals } from '../internals.ts';
import { Peer } from '../peer.ts';
import type { Transport, TransportListener } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { Scans } from '../scan/scans.ts';
import type { ChecksumExchange } from '../snapshot/checksum-exchange.ts';
import type { SnapshotTransfers } from '../snapshot/snapshots.ts';
import type { Elections } from './elections.ts';
import type { FrameIntake } from './frame-intake.ts';
import type { Heartbeats } from './heartbeats.ts';
import { ourHello, refusalOf } from './introduction.ts';
import type { Leadership } from './leadership.ts';
import type { RunQueue } from './run-queue.ts';

/** The rooms that are told of links that come and go, and of frames. */
export interface LinkRooms {
  readonly queue: RunQueue;
  readonly leadership: Leadership;
  readonly elections: Elections;
  readonly heartbeats: Heartbeats;
  readonly intake: FrameIntake;
  readonly dispatcher: Dispatcher;
  readonly checksums: ChecksumExchange<Replica>;
  readonly snapshots: SnapshotTransfers;
  readonly scans: Scans;
}

/**
 * The other nodes and the links to them.
 *
 *     unknown ──hello admitted──▶ identified ──up──▶ connected ──down──▶ identified
 *
 * I1 An endpoint has one peer from when it is first listed; a hello says which node id that is, and a later one may say another.
 * I2 What a broken link may have swallowed is begun anew when it breaks and when it is up again: replication, requests, transfers.
 */
export class Links implements TransportListener {
  private readonly node: NodeInternals;
  private readonly transport: Transport;
  private readonly rooms: LinkRooms;
  /** By endpoint. */
  readonly peers = new Map<string, Peer>();
  /** Those that have said hello. */
  readonly byNode = new Map<number, Peer>();

  constructor(node: NodeInternals, transport: Transport, rooms: LinkRooms) {
    this.node = node;
    this.transport = transport;
    this.rooms = rooms;
  }

  /** Keeps a link to this endpoint from now on. */
  add(endpoint: string): void {
    if (this.peers.has(endpoint)) return;
    this.peers.set(endpoint, new Peer(endpoint));
    this.transport.connect(endpoint);
  }

  // ---- the transport's calls -------------------------------------------------------------------------------------------------

  hello(): Uint8Array {
    return ourHello(this.node);
  }

  onHello(bytes: Uint8Array, dialled: string | undefined): { readonly endpoint: string } | { readonly refused: string } {
    let hello: Hello;
    try {
      hello = decodeHello(bytes);
    } catch (error) {
      return { refused: error instanceof DecodeError ? error.message : 'hello could not be read' };
    }
    const refused = refusalOf(hello, this.node);
    if (refused !== undefined) {
      this.node.events.record('peer-refused', 'warning', `node/${hello.nodeId}`, `${hello.endpoint}: ${refused}`);
      return { refused };
    }
    const endpoint = dialled ?? hello.endpoint;
    const peer = this.peers.get(endpoint);
    if (peer === undefined) {
      return {
        refused: this.node.started ? `${endpoint} is not a member of this cluster` : 'still starting: it reads its log first',
      };
    }
    this.identify(peer, hello);
    return { endpoint };
  }

  private identify(peer: Peer, hello: Hello): void {
    peer.hello = hello;
    peer.nodeId = hello.nodeId;
    this.byNode.set(hello.nodeId, peer);
    if (!peer.bootIs(hello.boot)) return;
    // A new process leads nothing yet: what followed the old one looks for another leader.
    for (const replica of this.node.replicas.values()) {
      if (replica.leads || replica.leaderNode !== hello.nodeId) continue;
      replica.group.leaderLost();
      this.rooms.leadership.observe(replica);
      this.rooms.queue.awake.add(replica);
    }
  }

  onUp(endpoint: string): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined) return;
    const { checksums, heartbeats, dispatcher } = this.rooms;
    const { nodeId } = peer;
    peer.connected = true;
    const text = `connected to ${peer.hello?.name ?? endpoint}`;
    this.node.events.record('link-up', 'info', `node/${nodeId}`, text, { nodeId });
    this.resetReplication(peer);
    checksums.peerUp();
    heartbeats.send(peer, this.node.monotonicMs());
    for (const replica of this.node.replicas.values()) {
      if (replica.leaderNode === nodeId) dispatcher.leaderChanged(replica.partitionId);
    }
  }

  onDown(endpoint: string, reason: string): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined) return;
    const { elections, snapshots, dispatcher, scans } = this.rooms;
    const { nodeId } = peer;
    const was = peer.connected;
    peer.linkLost();
    if (!was) return;
    const text = `connection to ${peer.hello?.name ?? endpoint} lost: ${reason}`;
    this.node.events.record('link-down', 'warning', `node/${nodeId}`, text, { nodeId });
    this.resetReplication(peer);
    elections.replaceLeadersOn(peer);
    snapshots.linkLost(peer);
    dispatcher.linkLost(nodeId);
    scans.linkLost(peer);
  }

  /** Groups led here ask the peer's replica again how far it is. */
  private resetReplication(peer: Peer): void {
    const { queue } = this.rooms;
    for (const replica of this.node.replicas.values()) {
      if (!replica.leads) continue;
      const member = replica.group.progress().find(progress => progress.member.nodeId === peer.nodeId)?.member;
      if (member === undefined) continue;
      replica.group.peerReset(member.replicaId);
      queue.awake.add(replica);
      queue.wake(replica);
    }
  }

  onFrame(endpoint: string, frame: Uint8Array): void {
    const peer = this.peers.get(endpoint);
    if (peer !== undefined && this.node.running) this.rooms.intake.take(peer, frame);
  }
}
