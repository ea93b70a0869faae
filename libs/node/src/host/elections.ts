import type { Rng } from '@kahuna/base';
import type { NodeInternals } from '../internals.ts';
import type { Peer } from '../peer.ts';
import type { Replica } from '../replica.ts';
import type { Leadership } from './leadership.ts';
import type { RunQueue } from './run-queue.ts';

/** How long after the promise to a lost leader a follower tries to replace it, and how often. Milliseconds. */
const REPLACE_MIN_MS = 20;
const REPLACE_MAX_MS = 250;
const REPLACE_TRIES = 6;

/** Elections that need not wait for an election timeout; the others begin with the ticks of their group. */
export class Elections {
  private readonly node: NodeInternals;
  private readonly rng: Rng;
  private readonly queue: RunQueue;
  private readonly leadership: Leadership;

  constructor(node: NodeInternals, rng: Rng, queue: RunQueue, leadership: Leadership) {
    this.node = node;
    this.rng = rng;
    this.queue = queue;
    this.leadership = leadership;
  }

  /** Now. */
  begin(replica: Replica): void {
    replica.group.campaign();
    // A group of one leads at once: a tick that came before anybody looked would find a leader elected long ago that never got ready.
    this.leadership.observe(replica);
    this.queue.wake(replica);
  }

  /**
   * Where nobody else votes there is no leader to wait for, so no election timeout either; only for the clock of the former life,
   * which may have run ahead of the present.
   */
  beginAlone(): void {
    const { node } = this;
    const alone = [...node.replicas.values()].filter(replica => !replica.installing && !replica.diverged && replica.isOnlyVoter);
    if (alone.length === 0) return;
    const begin = (): void => {
      if (!node.accepting) return;
      for (const replica of alone) this.begin(replica);
    };
    const waitMs = node.hlc.waitBeforeServingMs();
    if (waitMs > 0) node.after(waitMs, begin);
    else begin();
  }

  /**
   * A killed process is noticed by its broken links long before the election timers run out. Its followers campaign as soon as
   * nobody is bound any more by the promise to it, each a little apart from the others. Pre-vote keeps this harmless where only the link broke.
   */
  replaceLeadersOn(peer: Peer): void {
    const from = Math.max(this.node.monotonicMs(), peer.promisedUntil);
    for (const replica of this.node.replicas.values()) {
      if (replica.leads || replica.leaderNode !== peer.nodeId) continue;
      replica.replaceLeaderAt = from + this.rng.int(REPLACE_MIN_MS, REPLACE_MAX_MS);
      replica.replaceLeaderTries = REPLACE_TRIES;
      this.queue.awake.add(replica);
    }
  }

  /** With every tick of a replica that does not lead: the next attempt, if one is due. */
  tryToReplaceLeader(replica: Replica, now: number): void {
    if (replica.replaceLeaderAt === 0 || now < replica.replaceLeaderAt) return;
    const leader = replica.leaderNode;
    const gone = leader === 0 || this.node.peerByNode(leader)?.connected !== true;
    replica.replaceLeaderTries--;
    const over = !gone || replica.leads || replica.replaceLeaderTries < 0;
    replica.replaceLeaderAt = over ? 0 : now + this.rng.int(REPLACE_MIN_MS, REPLACE_MAX_MS);
    // A candidate waits for votes already.
    if (!over && replica.group.role !== 'candidate') replica.group.campaign();
  }
}
