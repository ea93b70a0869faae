import { ByteReader, ByteWriter } from '@kahuna/base';
import { expect, it } from 'vitest';
import { Peer } from '../peer.ts';
import { ItemKind } from '../peer-frame.ts';
import { ChecksumExchange, type ComparedReplica, type ComparisonHost } from './checksum-exchange.ts';

const PARTITION = 7;
const HEARTBEAT_MS = 500;

/** One node with one replica; node 1 leads. Frames reach the other side when a test says so. */
class TestNode implements ComparisonHost<ComparedReplica> {
  readonly nodeId: number;
  readonly settings = { heartbeatMs: HEARTBEAT_MS };
  readonly alarms: string[] = [];
  readonly events = { record: (kind: string, severity: string): void => void this.alarms.push(`${kind} ${severity}`) };
  readonly replicas = new Map<number, ComparedReplica>();
  readonly replica: ComparedReplica & { machine: { appliedIndex: number; checksum: number }; handedTo: number };
  readonly outbox = new Map<number, ByteWriter>();
  readonly snapshotsTo: number[] = [];
  remembered = 0;
  readonly exchange: ChecksumExchange<ComparedReplica>;
  private readonly peers = new Map<number, Peer>();

  constructor(nodeId: number, nodes: number) {
    this.nodeId = nodeId;
    const others = Array.from({ length: nodes }, (_, i) => i + 1).filter(id => id !== nodeId);
    for (const id of others) {
      const peer = new Peer(`node-${id}`);
      peer.nodeId = id;
      peer.connected = true;
      this.peers.set(id, peer);
    }
    const leads = nodeId === 1;
    const members = Array.from({ length: nodes }, (_, i) => ({ replicaId: i + 101, nodeId: i + 1 }));
    const replica = {
      partitionId: PARTITION,
      replicaId: nodeId + 100,
      leads,
      leaderNode: 1,
      installing: false,
      machine: { appliedIndex: 10, checksum: 0xabc },
      comparedIndex: 0,
      checksumAgrees: true,
      diverged: false,
      handedTo: 0,
      group: {
        term: 3,
        progress: () =>
          leads
            ? members
                .filter(member => member.nodeId !== nodeId)
                .map(member => ({
                  member,
                  role: 'voter' as const,
                  state: 'replicate' as const,
                  match: 0,
                  next: 1,
                  inflightBytes: 0,
                }))
            : [],
        quorum: (has: (member: (typeof members)[number]) => boolean) => members.filter(has).length * 2 > nodes,
        transferLeadership: (to: number): boolean => {
          replica.handedTo = to;
          return true;
        },
      },
    };
    this.replica = replica;
    this.replicas.set(PARTITION, replica);
    this.exchange = new ChecksumExchange<ComparedReplica>(this);
  }

  peerByNode(nodeId: number): Peer | undefined {
    return this.peers.get(nodeId);
  }

  monotonicMs(): number {
    return 0;
  }

  writeTo(peer: Peer): ByteWriter {
    const writer = this.outbox.get(peer.nodeId) ?? new ByteWriter(64);
    this.outbox.set(peer.nodeId, writer);
    return writer;
  }

  wake(): void {
    // Nothing sleeps here.
  }

  divergedAt(): void {
    this.remembered++;
  }

  sendSnapshot(_replica: ComparedReplica, replicaId: number): void {
    this.snapshotsTo.push(replicaId);
  }
}

/** Delivers what was written until nobody writes any more; returns the number of items. */
function deliver(nodes: readonly TestNode[], skip?: TestNode): number {
  let items = 0;
  for (let sent = true; sent; ) {
    sent = false;
    for (const from of nodes) {
      const frames = [...from.outbox];
      from.outbox.clear();
      for (const [to, writer] of frames) {
        const target = nodes[to - 1] as TestNode;
        if (target === skip || from === skip) continue;
        const reader = new ByteReader(writer.finish());
        while (reader.remaining > 0) {
          expect(reader.u8()).toBe(ItemKind.Checksum);
          target.exchange.takeItem(target.peerByNode(from.nodeId) as Peer, reader);
          items++;
          sent = true;
        }
      }
    }
  }
  return items;
}

function cluster(count: number): TestNode[] {
  return Array.from({ length: count }, (_, i) => new TestNode(i + 1, count));
}

it('says nothing while nothing is applied, and asks each member once when something is', () => {
  const nodes = cluster(3);
  const leader = nodes[0] as TestNode;
  leader.exchange.tick(0);
  expect(deliver(nodes)).toBe(0);
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(HEARTBEAT_MS);
  expect(deliver(nodes)).toBe(4);
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(2 * HEARTBEAT_MS);
  expect(deliver(nodes)).toBe(0);
  expect(nodes.flatMap(node => node.alarms)).toEqual([]);
});

it('a member answers when it has applied the very index', () => {
  const nodes = cluster(2);
  const [leader, follower] = nodes as [TestNode, TestNode];
  follower.replica.machine.appliedIndex = 9;
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(0);
  expect(deliver(nodes)).toBe(1);
  expect(follower.replica.comparedIndex).toBe(10);
  follower.replica.machine.appliedIndex = 10;
  follower.exchange.reached(follower.replica);
  expect(deliver(nodes)).toBe(1);
});

it('a follower outside the quorum is told so', () => {
  const nodes = cluster(3);
  const [leader, sound, wrong] = nodes as [TestNode, TestNode, TestNode];
  wrong.replica.machine.checksum = 1;
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(0);
  deliver(nodes);
  expect(wrong.replica).toMatchObject({ diverged: true, checksumAgrees: false });
  expect(wrong.alarms).toEqual(['checksum-mismatch critical']);
  expect([leader.remembered, sound.remembered, wrong.remembered]).toEqual([0, 0, 1]);
  for (const node of [leader, sound]) expect(node.replica).toMatchObject({ diverged: false, checksumAgrees: true });
});

it('a leader outside the quorum hands over to a member inside it', () => {
  const nodes = cluster(3);
  const leader = nodes[0] as TestNode;
  leader.replica.machine.checksum = 1;
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(0);
  deliver(nodes);
  expect(leader.replica).toMatchObject({ diverged: true, handedTo: 102 });
  expect(leader.alarms).toEqual(['checksum-mismatch critical']);
});

it('without a quorum for either side the leader only raises the alarm, once', () => {
  const nodes = cluster(3);
  const [leader, follower, absent] = nodes as [TestNode, TestNode, TestNode];
  follower.replica.machine.checksum = 1;
  for (let now = 0; now <= 20 * HEARTBEAT_MS; now += HEARTBEAT_MS) {
    leader.exchange.applied(leader.replica);
    leader.exchange.tick(now);
    deliver(nodes, absent);
  }
  expect(leader.alarms).toEqual(['checksum-mismatch critical']);
  expect([leader.replica.diverged, follower.replica.diverged]).toEqual([false, false]);
  expect(leader.replica.checksumAgrees).toBe(false);
});

/** One node finds itself diverged and, a while later, asks; returns to whom the leader sends a snapshot. */
function divergeAndAsk(nodes: readonly TestNode[], now: number): readonly number[] {
  const [leader, wrong] = nodes as [TestNode, TestNode];
  wrong.replica.machine.checksum = 1;
  leader.replica.machine.appliedIndex++;
  for (const node of nodes) node.replica.machine.appliedIndex = leader.replica.machine.appliedIndex;
  leader.exchange.applied(leader.replica);
  leader.exchange.tick(now);
  deliver(nodes);
  expect(wrong.replica.diverged).toBe(true);
  wrong.exchange.tick(now);
  wrong.exchange.tick(now + 60_000);
  deliver(nodes);
  return leader.snapshotsTo.splice(0);
}

it('a diverged follower asks the leader for its state, until it has diverged too often', () => {
  const nodes = cluster(3);
  const wrong = nodes[1] as TestNode;
  const asked: (readonly number[])[] = [];
  for (let round = 1; round <= 4; round++) {
    asked.push(divergeAndAsk(nodes, round * 200_000));
    Object.assign(wrong.replica, { diverged: false, checksumAgrees: true });
    wrong.exchange.tick(round * 200_000 + 70_000);
    wrong.replica.machine.checksum = 0xabc;
  }
  expect(asked).toEqual([[102], [102], [], []]);
});

it('a diverged leader gives its state to nobody', () => {
  const nodes = cluster(2);
  const [leader, follower] = nodes as [TestNode, TestNode];
  leader.replica.diverged = true;
  follower.replica.diverged = true;
  follower.exchange.tick(1);
  follower.exchange.tick(60_000);
  expect(deliver(nodes)).toBe(1);
  expect(leader.snapshotsTo).toEqual([]);
});
