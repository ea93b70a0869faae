import type { ByteReader, ByteWriter, LogIndex, PartitionId, Term } from '@kahuna/base';
import type { Member, RaftGroup } from '@kahuna/raft';
import type { EventRing } from '../events.ts';
import type { Peer } from '../peer.ts';
import { ItemKind } from '../peer-frame.ts';

/** What the comparison needs of a replica. */
export interface ComparedReplica {
  readonly partitionId: PartitionId;
  readonly replicaId: number;
  readonly leads: boolean;
  readonly leaderNode: number;
  readonly installing: boolean;
  readonly group: Pick<RaftGroup, 'term' | 'progress' | 'quorum' | 'transferLeadership'>;
  readonly machine: { readonly appliedIndex: LogIndex; readonly checksum: number };
  /** Index at which the leader wants to know the checksum; {@link ChecksumExchange.reached} follows once it is applied. 0 = none. */
  comparedIndex: LogIndex;
  checksumAgrees: boolean;
  diverged: boolean;
}

/** What the comparison needs of its node. */
export interface ComparisonHost<R extends ComparedReplica> {
  readonly nodeId: number;
  readonly settings: { readonly heartbeatMs: number };
  readonly events: Pick<EventRing, 'record'>;
  readonly replicas: ReadonlyMap<PartitionId, R>;
  peerByNode(nodeId: number): Peer | undefined;
  monotonicMs(): number;
  writeTo(peer: Peer): ByteWriter;
  wake(replica: R): void;
  /** The replica's state is not what a quorum has after `index`; remembered over restarts. */
  divergedAt(replica: R, index: LogIndex): void;
  /** Leader only: brings a member's state to what it is here, whatever that member has. */
  sendSnapshot(replica: R, replicaId: number): void;
}

const Step = { Ask: 1, Answer: 2, Verdict: 3, Heal: 4 } as const;
type Step = (typeof Step)[keyof typeof Step];

/** One index at which the replicas of a group are compared. */
interface Round {
  readonly term: Term;
  readonly index: LogIndex;
  readonly begunAt: number;
  readonly memberCount: number;
  /** Checksum by replica id, the leader's own included. */
  readonly checksums: Map<number, number>;
}

/** A round that somebody has not answered is given up after this many heartbeats: members may be down, or have been ahead. */
const PATIENCE_HEARTBEATS = 4;
/** A diverged replica asks for a snapshot this often, the first time so long after it was found. Milliseconds. */
const HEAL_EVERY_MS = 10_000;
/** A node that makes a replica diverge so often does it by itself, and another snapshot would not help. */
const MAX_DIVERGENCES = 3;

/**
 * Compares the checksums of a group's replicas at equal applied indexes, continuously (invariant 5).
 *
 *     leader ── Ask(index, its checksum) ──▶ every member        at most once per heartbeat, and only if it has applied more
 *     member ── Answer(index, its checksum) ──▶ leader           when it has applied exactly that index
 *     leader ── Verdict(index, the quorum's checksum) ──▶ those who differ
 *     diverged member ── Heal ──▶ leader ── snapshot ──▶ member   while it is out
 *
 * The checksum runs over all effects so far, so replicas that once evaluated an entry differently never agree again: it is enough to
 * look now and then. What a quorum holds is right. A replica outside it, the leader included, has *diverged*: it says so as loudly as it
 * can and neither leads nor campaigns from then on, over restarts too, so that nobody is served from its state. Its log is sound, so
 * it goes on voting and acknowledging; a snapshot of a sound leader makes it whole. What diverges again and again on one node stays
 * out until that node is started anew. Without a quorum for either side nobody can tell who is wrong, and the leader only raises
 * the alarm.
 */
export class ChecksumExchange<R extends ComparedReplica> {
  private readonly node: ComparisonHost<R>;
  /** Led here, and to be compared again. */
  private readonly changed = new Set<R>();
  private readonly rounds = new Map<PartitionId, Round>();
  private askedAt = Number.NEGATIVE_INFINITY;
  /** When a diverged replica asks next. Monotonic. */
  private readonly healAt = new Map<PartitionId, number>();
  /** Times that a replica of this process was found to have diverged. */
  private readonly divergences = new Map<PartitionId, number>();

  constructor(node: ComparisonHost<R>) {
    this.node = node;
  }

  // ---- as leader -------------------------------------------------------------------------------------------------------------

  /** The replica may have applied something. */
  applied(replica: R): void {
    if (replica.leads && this.rounds.get(replica.partitionId)?.index !== replica.machine.appliedIndex) this.changed.add(replica);
  }

  /** A member may have come back from a restart and with it anything: idle groups are compared with it too. */
  peerUp(): void {
    for (const replica of this.node.replicas.values()) if (replica.leads) this.changed.add(replica);
  }

  tick(now: number): void {
    this.compare(now);
    for (const replica of this.node.replicas.values()) {
      if (replica.diverged) this.heal(replica, now);
      else this.healAt.delete(replica.partitionId);
    }
  }

  private heal(replica: R, now: number): void {
    const at = this.healAt.get(replica.partitionId);
    if (at !== undefined && now < at) return;
    this.healAt.set(replica.partitionId, now + HEAL_EVERY_MS);
    if (at !== undefined) this.askForSnapshot(replica);
  }

  private compare(now: number): void {
    const { heartbeatMs } = this.node.settings;
    if (this.changed.size === 0 || now - this.askedAt < heartbeatMs) return;
    this.askedAt = now;
    for (const replica of this.changed) {
      const round = this.openRound(replica);
      if (round !== undefined && now - round.begunAt < PATIENCE_HEARTBEATS * heartbeatMs) continue;
      if (round !== undefined && differ(round)) this.dispute(replica, round);
      this.changed.delete(replica);
      if (replica.leads) this.ask(replica, now);
      else this.rounds.delete(replica.partitionId);
    }
  }

  /** The round that still waits for answers, if it is of this leadership. */
  private openRound(replica: R): Round | undefined {
    const round = this.rounds.get(replica.partitionId);
    if (round === undefined || !replica.leads || round.term !== replica.group.term) return undefined;
    return round.checksums.size < round.memberCount ? round : undefined;
  }

  private ask(replica: R, now: number): void {
    const { appliedIndex, checksum } = replica.machine;
    const peers = replica.group.progress();
    this.rounds.set(replica.partitionId, {
      term: replica.group.term,
      index: appliedIndex,
      begunAt: now,
      memberCount: peers.length + 1,
      checksums: new Map([[replica.replicaId, checksum]]),
    });
    for (const { member } of peers) {
      const peer = this.node.peerByNode(member.nodeId);
      if (peer !== undefined) this.write(peer, Step.Ask, replica, member.replicaId, appliedIndex, checksum);
    }
  }

  private takeAnswer(replica: R, from: number, term: Term, index: LogIndex, checksum: number): void {
    const round = this.rounds.get(replica.partitionId);
    if (!replica.leads || round === undefined || round.term !== term || round.index !== index) return;
    round.checksums.set(from, checksum);
    const complete = round.checksums.size === round.memberCount;
    if (!differ(round)) {
      if (complete) replica.checksumAgrees = true;
      return;
    }
    const right = rightOf(replica, round);
    if (right !== undefined) this.judge(replica, round, right);
    else if (complete) this.dispute(replica, round);
    else this.changed.add(replica);
  }

  /** Somebody is wrong and no quorum says who. */
  private dispute(replica: R, { index, checksums }: Round): void {
    if (!replica.checksumAgrees) return;
    replica.checksumAgrees = false;
    const own = checksums.get(replica.replicaId);
    const others = [...checksums].filter(([, checksum]) => checksum !== own).map(([id]) => id);
    this.alarm(replica, index, `replicas ${others.join(', ')} and ${replica.replicaId} disagree about the state at ${index}`);
  }

  private judge(replica: R, { index, checksums }: Round, right: number): void {
    for (const { member } of replica.group.progress()) {
      const checksum = checksums.get(member.replicaId);
      if (checksum === undefined || checksum === right) continue;
      const peer = this.node.peerByNode(member.nodeId);
      if (peer !== undefined) this.write(peer, Step.Verdict, replica, member.replicaId, index, right);
    }
    if (checksums.get(replica.replicaId) === right) {
      replica.checksumAgrees = true;
      return;
    }
    this.diverged(replica, index);
    this.handOver(replica, checksums, right);
  }

  /** Stepping down alone would leave followers waiting for a leader whose node lives. Tried again, round after round, while it leads. */
  private handOver(replica: R, checksums: Round['checksums'], right: number): void {
    const isSound = ({ member }: { member: Member }): boolean =>
      checksums.get(member.replicaId) === right && this.node.peerByNode(member.nodeId)?.connected === true;
    const heir = replica.group.progress().find(peer => peer.role === 'voter' && isSound(peer));
    if (heir !== undefined) replica.group.transferLeadership(heir.member.replicaId);
    this.changed.add(replica);
    this.node.wake(replica);
  }

  // ---- as member -------------------------------------------------------------------------------------------------------------

  /** The replica has just applied `comparedIndex`. */
  reached(replica: R): void {
    replica.comparedIndex = 0;
    const leader = replica.leads ? undefined : this.node.peerByNode(replica.leaderNode);
    if (leader === undefined) return;
    const { appliedIndex, checksum } = replica.machine;
    this.write(leader, Step.Answer, replica, replica.replicaId, appliedIndex, checksum);
  }

  private takeAsk(replica: R, index: LogIndex): void {
    replica.comparedIndex = index;
    // A member that is ahead of the leader has forgotten what it had there; it will be asked again.
    if (replica.machine.appliedIndex === index) this.reached(replica);
  }

  /** Evaluated what everybody has evaluated, and came to another state. */
  private diverged(replica: R, index: LogIndex): void {
    if (replica.diverged) return;
    replica.diverged = true;
    replica.checksumAgrees = false;
    this.divergences.set(replica.partitionId, (this.divergences.get(replica.partitionId) ?? 0) + 1);
    this.node.divergedAt(replica, index);
    this.alarm(
      replica,
      index,
      `this node's state at ${index} is not what a quorum has: it serves partition ${replica.partitionId} no more`,
    );
  }

  private askForSnapshot(replica: R): void {
    const leader = replica.leads ? undefined : this.node.peerByNode(replica.leaderNode);
    if (leader === undefined || (this.divergences.get(replica.partitionId) ?? 0) >= MAX_DIVERGENCES) return;
    const { appliedIndex, checksum } = replica.machine;
    this.write(leader, Step.Heal, replica, replica.replicaId, appliedIndex, checksum);
  }

  private alarm(replica: R, index: LogIndex, text: string): void {
    const { partitionId } = replica;
    const data = { partitionId, index, nodeId: this.node.nodeId };
    this.node.events.record('checksum-mismatch', 'critical', `partition/${partitionId}`, text, data);
  }

  // ---- frames ----------------------------------------------------------------------------------------------------------------

  /** `subject`: the replica that is asked, that answers, or that is judged. */
  private write(peer: Peer, step: Step, replica: R, subject: number, index: LogIndex, checksum: number): void {
    if (!peer.connected) return;
    const writer = this.node.writeTo(peer);
    writer.u8(ItemKind.Checksum);
    writer.u8(step);
    writer.varint(replica.partitionId);
    writer.varint(subject);
    writer.varint(replica.group.term);
    writer.varint(index);
    writer.u32(checksum);
  }

  takeItem(peer: Peer, reader: ByteReader): void {
    const step = reader.u8();
    const replica = this.node.replicas.get(reader.varint());
    const subject = reader.varint();
    const term = reader.varint();
    const index = reader.varint();
    const checksum = reader.u32();
    if (replica === undefined || replica.installing || term !== replica.group.term) return;
    if (step === Step.Answer) {
      this.takeAnswer(replica, subject, term, index, checksum);
      return;
    }
    if (step === Step.Heal) {
      if (replica.leads && !replica.diverged) this.node.sendSnapshot(replica, subject);
      return;
    }
    if (subject !== replica.replicaId || replica.leaderNode !== peer.nodeId) return;
    if (step === Step.Ask) this.takeAsk(replica, index);
    else if (step === Step.Verdict) this.diverged(replica, index);
  }
}

function differ({ checksums }: Round): boolean {
  return new Set(checksums.values()).size > 1;
}

/** The checksum that a quorum has, undefined if none is known to be that common. */
function rightOf(replica: ComparedReplica, { checksums }: Round): number | undefined {
  for (const candidate of new Set(checksums.values())) {
    if (replica.group.quorum(member => checksums.get(member.replicaId) === candidate)) return candidate;
  }
  return undefined;
}
