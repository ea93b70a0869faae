import type { ByteReader } from '@kahuna/base';
import type { NodeInternals } from '../internals.ts';
import type { Leases } from '../leases.ts';
import type { Peer } from '../peer.ts';
import { ItemKind } from '../peer-frame.ts';
import type { GroupTicks } from './group-ticks.ts';

/** A peer is suspect after so many intervals without a heartbeat, and one tick. */
const SILENT_INTERVALS = 1.5;

/**
 * Heartbeats between pairs of nodes, which speak for all groups of the pair (see `peer.ts` for what they promise).
 *
 * H1 A heartbeat is answered in the turn that took it; the answer says whether the promise was given.
 */
export class Heartbeats {
  private readonly node: NodeInternals;
  private readonly leases: Leases;
  private readonly groups: GroupTicks;

  constructor(node: NodeInternals, leases: Leases, groups: GroupTicks) {
    this.node = node;
    this.leases = leases;
    this.groups = groups;
  }

  tick(now: number): void {
    const { heartbeatMs, tickMs } = this.node.settings;
    const { meters } = this.node;
    for (const peer of this.node.peers.values()) {
      const sinceLast = now - peer.lastHeartbeatSentAt;
      if (peer.connected && sinceLast >= heartbeatMs) {
        meters.heartbeatsSent++;
        if (Number.isFinite(sinceLast)) meters.heartbeatDelayMs.record(sinceLast);
        this.send(peer, now);
      }
      const silentMs = now - peer.heartbeatReceivedAt;
      if (peer.alive && silentMs > heartbeatMs * SILENT_INTERVALS + tickMs) this.silent(peer, silentMs);
    }
  }

  send(peer: Peer, now: number): void {
    peer.writeHeartbeat(this.node.writeTo(peer), now, this.node.clock.wallMs(), this.leases.promiseMs);
  }

  private silent(peer: Peer, silentMs: number): void {
    peer.alive = false;
    const { nodeId } = peer;
    const text = `no heartbeat from ${peer.hello?.name ?? peer.endpoint}`;
    this.node.events.record('node-suspect', 'warning', `node/${nodeId}`, text, { nodeId });
    this.groups.peerSilent(peer, silentMs);
  }

  take(peer: Peer, reader: ByteReader): void {
    const seq = reader.varint();
    const promiseMs = reader.varint();
    const now = this.node.monotonicMs();
    const promised = promiseMs <= this.leases.promiseMs;
    peer.heartbeatReceivedAt = now;
    if (promised) peer.promisedUntil = Math.max(peer.promisedUntil, now + promiseMs);
    if (!peer.alive) {
      peer.alive = true;
      const { nodeId } = peer;
      const text = `heartbeats from ${peer.hello?.name ?? peer.endpoint}`;
      this.node.events.record('node-alive', 'info', `node/${nodeId}`, text, { nodeId });
    }
    this.groups.peerAlive(peer);
    const writer = this.node.writeTo(peer);
    writer.u8(ItemKind.HeartbeatAck);
    writer.varint(seq);
    writer.u8(promised ? 1 : 0);
    writer.f64(this.node.clock.wallMs());
  }

  takeAnswer(peer: Peer, reader: ByteReader): void {
    const seq = reader.varint();
    const promised = reader.u8() === 1;
    const peerWallMs = reader.f64();
    peer.heartbeatAnswered(seq, promised, this.node.monotonicMs(), this.node.clock.wallMs(), peerWallMs);
  }
}
