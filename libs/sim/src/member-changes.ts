import { type PartitionId, Rng } from '@kahuna/base';
import type { Replica } from '@kahuna/node';
import { allMembers, isJoint, type Member } from '@kahuna/raft';
import type { FaultMix } from './faults.ts';
import type { Cluster, SimNode } from './world/cluster.ts';

/** A stream of its own: a run without changes draws nothing here, so its seed means what it always meant. */
const STREAM = 0x3e3be4;
/** A change never leaves fewer voters: with one alone nothing would be decided among nodes any more. */
const MIN_VOTERS = 2;
/** Share of the changes around which a process is killed, the leader's as often as another one. */
const CRASH_SHARE = 0.4;
/** From a change to that crash, at most: a joint configuration lives about as long. Milliseconds. */
const CRASH_WITHIN_MS = 40;

/**
 * Membership changes under trouble: leaders are made to propose, through joint consensus, that voters of their group become learners or
 * learners become voters, themselves included. The nodes stay the same; each group goes its own way.
 */
export class MemberChanges {
  private readonly cluster: Cluster;
  private readonly mix: FaultMix;
  private readonly rng: Rng;
  private readonly meanMs: number;
  private running = true;

  constructor(cluster: Cluster, mix: FaultMix) {
    this.cluster = cluster;
    this.mix = mix;
    this.rng = new Rng(cluster.simulation.seed ^ STREAM);
    const { electionMinMs = 2000 } = cluster.options.settings;
    this.meanMs = electionMinMs * this.rng.pick([0.5, 1, 3]);
  }

  start(): void {
    const pause = -Math.log(1 - this.rng.float()) * this.meanMs;
    this.cluster.simulation.after(pause, () => {
      if (!this.running) return;
      this.cluster.guard(() => this.change());
      this.start();
    });
  }

  /** No more changes; those that have begun go on. */
  stop(): void {
    this.running = false;
  }

  /** Asks leaders to make everybody a voter again. True once every replica of every group knows that it is so. */
  restore(): boolean {
    let restored = true;
    for (const node of this.cluster.nodes) {
      for (const replica of node.host?.replicas.values() ?? []) {
        if (isWhole(replica)) continue;
        restored = false;
        if (replica.leads) this.propose(node, replica.partitionId, allMembers(replica.group.configuration));
      }
    }
    return restored;
  }

  private change(): void {
    const { nodes } = this.cluster;
    const leaders = nodes.flatMap(node =>
      [...(node.host?.replicas.values() ?? [])].filter(replica => replica.leads).map(replica => ({ node, replica })),
    );
    if (leaders.length === 0) return;
    const { node, replica } = this.rng.pick(leaders);
    const members = this.rng.shuffle(allMembers(replica.group.configuration));
    const voters = members.slice(0, this.rng.int(Math.min(MIN_VOTERS, members.length), members.length));
    this.propose(node, replica.partitionId, voters);
    if (this.rng.chance(CRASH_SHARE)) this.crashSoon(this.rng.chance(0.5) ? node : this.rng.pick(nodes));
  }

  /** As a leader that was told to: all members that are not in `voters` become learners. It may refuse, as in the middle of another change. */
  private propose(node: SimNode, partitionId: PartitionId, voters: readonly Member[]): void {
    const { process } = node;
    if (process === undefined || process.isPaused) return;
    process.deliver(() => {
      const { host } = node;
      const replica = host?.replica(partitionId);
      if (host === undefined || replica === undefined) return;
      const chosen = new Set(voters.map(voter => voter.replicaId));
      const learners = allMembers(replica.group.configuration).filter(member => !chosen.has(member.replicaId));
      if (!replica.group.proposeChange({ kind: 'joint', voters, learners }).ok) return;
      const { reached, simulation } = this.cluster;
      simulation.trace.note(simulation.nowMs, 'change-members', node.endpoint, partitionId);
      reached.note('membership change begun');
      if (!chosen.has(replica.replicaId)) reached.note('leader gives up its vote');
      host.wake(replica);
    });
  }

  private crashSoon(node: SimNode): void {
    const { simulation } = this.cluster;
    simulation.after(this.rng.float() * CRASH_WITHIN_MS, () => {
      if (!this.running || !node.isUp) return;
      this.cluster.guard(() => node.crash(this.mix.powerLoss && this.rng.chance(0.5) ? 'power' : 'kill'));
      simulation.after(this.rng.float() * 2 * this.meanMs, () => {
        if (this.running && !node.isUp) this.cluster.guard(() => node.start());
      });
    });
  }
}

/** Everybody votes, as far as this replica knows. */
function isWhole({ group }: Replica): boolean {
  const { configuration } = group;
  return !isJoint(configuration) && configuration.learners.length === 0;
}
