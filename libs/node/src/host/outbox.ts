import type { Hlc } from '@kahuna/base';
import { encodeMessage, type Message } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import type { Peer } from '../peer.ts';
import { ItemKind } from '../peer-frame.ts';
import type { Transport } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { RunQueue } from './run-queue.ts';

/** A frame is ended once it has grown beyond this. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** Through which every Raft message leaves. The node itself is one, so that a simulation can look whether what is promised is durable. */
export interface MessageSender {
  sendMessage(replica: Replica, message: Message): void;
}

/**
 * Frames to the peers: whatever one turn has for a peer leaves in one frame (see `peer-frame.ts`).
 *
 * O1 What was written leaves by the end of the running turn, or of the next one, which is then scheduled.
 * O2 Items leave in the order in which they were written.
 */
export class Outbox implements MessageSender {
  private readonly node: NodeInternals;
  private readonly transport: Transport;
  private readonly queue: RunQueue;
  private readonly clock: () => Hlc;
  /** Peers for which something was written. */
  private readonly written = new Set<Peer>();

  /** `clock`: what frames tell of this node's clock, asked as each one ends. */
  constructor(node: NodeInternals, transport: Transport, queue: RunQueue, clock: () => Hlc) {
    this.node = node;
    this.transport = transport;
    this.queue = queue;
    this.clock = clock;
  }

  /** Opens the frame for a peer. */
  writeTo(peer: Peer): ReturnType<Peer['openFrame']> {
    if (this.written.size === 0 && !this.queue.turning) this.queue.schedule();
    this.written.add(peer);
    const { boot, nodeId } = this.node;
    const writer = peer.openFrame(boot, nodeId, this.clock);
    if (peer.frameBytes > MAX_FRAME_BYTES) {
      peer.finishFrame();
      return peer.openFrame(boot, nodeId, this.clock);
    }
    return writer;
  }

  /** To the node of the member that it names; dropped if there is no link: Raft repeats what matters. */
  sendMessage(replica: Replica, message: Message): void {
    const member = replica.memberById(message.to);
    const peer = member === undefined ? undefined : this.node.peerByNode(member.nodeId);
    if (peer === undefined || !peer.connected) return;
    const writer = this.writeTo(peer);
    writer.u8(ItemKind.Raft);
    writer.varint(replica.partitionId);
    encodeMessage(writer, message);
  }

  /** Hands all frames to the transport. */
  send(): void {
    if (this.written.size === 0) return;
    const { counters } = this.node;
    for (const peer of this.written) {
      peer.takeFrames(frame => {
        counters.framesOut++;
        counters.bytesOut += frame.length;
        this.transport.send(peer.endpoint, frame);
      });
    }
    this.written.clear();
  }
}
