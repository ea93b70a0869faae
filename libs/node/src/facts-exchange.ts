import { type ByteReader, DecodeError } from '@kahuna/base';
import type { NodeFacts } from './api.ts';
import type { NodeInternals } from './internals.ts';
import type { Peer } from './peer.ts';
import { ItemKind } from './peer-frame.ts';
import { nodeFacts } from './views.ts';

const ASK_EVERY_MS = 1000;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Facts of the peers for display. Gathered only while somebody holds an interest: this node asks its peers once a second, each
 * answers with what `facts()` says. JSON, because it is for people and changes often; it is far from the hot path.
 */
export class FactsExchange {
  private readonly node: NodeInternals;
  private readonly received = new Map<number, { readonly facts: NodeFacts; readonly receivedAtMs: number }>();
  /** What the application adds to what this node tells `nodeId`. */
  share: (nodeId: number) => unknown = () => undefined;
  private interests = 0;
  private askedAt = Number.NEGATIVE_INFINITY;

  constructor(node: NodeInternals) {
    this.node = node;
  }

  gather(): () => void {
    this.interests++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.interests--;
      if (this.interests === 0) this.received.clear();
    };
  }

  of(nodeId: number): { readonly facts: NodeFacts; readonly receivedAtMs: number } | undefined {
    return this.received.get(nodeId);
  }

  tick(now: number): void {
    if (this.interests === 0 || now - this.askedAt < ASK_EVERY_MS) return;
    this.askedAt = now;
    for (const peer of this.node.peers.values()) if (peer.connected) this.node.writeTo(peer).u8(ItemKind.FactsRequest);
  }

  takeItem(kind: number, peer: Peer, reader: ByteReader): void {
    if (kind === ItemKind.FactsRequest) {
      const writer = this.node.writeTo(peer);
      writer.u8(ItemKind.Facts);
      writer.bytes(encoder.encode(JSON.stringify({ ...nodeFacts(this.node), shared: this.share(peer.nodeId) })));
      return;
    }
    const bytes = reader.bytes();
    if (this.interests === 0) return;
    this.received.set(peer.nodeId, { facts: decodeFacts(bytes), receivedAtMs: Math.floor(this.node.clock.wallMs()) });
  }
}

/** What every release tells; the rest is for display and looked at with care there. Throws {@link DecodeError}. */
function decodeFacts(bytes: Uint8Array): NodeFacts {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    throw new DecodeError('facts are not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new DecodeError('facts are not an object');
  const { partitions, peers } = value as Partial<NodeFacts>;
  if (!Array.isArray(partitions) || !Array.isArray(peers)) throw new DecodeError('facts without partitions and peers');
  return value as NodeFacts;
}
