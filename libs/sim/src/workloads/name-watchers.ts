import { HLC_ZERO, type Hlc, type Rng } from '@kahuna/base';
import type { LockSubject, SequenceSubject, Watch, WatchEvent, WatchPosition } from '@kahuna/node';
import type { NameChange, NameSession } from '../checkers/name-watch.ts';
import type { Cluster } from '../world/cluster.ts';
import type { SimProcess } from '../world/machine.ts';

/** A watcher looks this often whether its node is still there. Milliseconds. */
const LOOK_MS = 50;
/** How long it stays with a node, at most. Milliseconds. */
const STAY_MS = 3000;

interface Recorded extends NameSession {
  readonly changes: NameChange[];
  to: Hlc;
}

/** Watchers of locks and sequences that others use: they follow them from node to node, some from their last position, some anew. */
export class NameWatchers {
  readonly sessions: Recorded[] = [];
  private readonly cluster: Cluster;
  private readonly rng: Rng;
  private readonly subjects: readonly (LockSubject | SequenceSubject)[];

  constructor(cluster: Cluster, subjects: readonly (LockSubject | SequenceSubject)[]) {
    this.cluster = cluster;
    this.rng = cluster.simulation.rng.fork();
    this.subjects = subjects;
  }

  /** `each`: watchers per name. */
  start(each: number): void {
    for (const subject of this.subjects) for (let i = 0; i < each; i++) this.open(subject, undefined);
  }

  private open(subject: LockSubject | SequenceSubject, position: WatchPosition | undefined): void {
    const { rng, cluster } = this;
    const node = rng.pick(cluster.nodes);
    const { process } = node;
    if (process === undefined || !process.isAlive) {
      cluster.simulation.after(LOOK_MS * rng.float(), () => this.open(subject, position));
      return;
    }
    const start = position === undefined ? ({ kind: 'now' } as const) : ({ kind: 'places', places: position } as const);
    const following = new Following(this.sessions, subject, position);
    process.deliver(() => {
      if (node.host === undefined) return;
      following.watch = node.host.watch({ shape: subject, start }, () => this.hear(following, process));
    });
    this.look(following, process, cluster.simulation.nowMs + rng.float() * STAY_MS);
  }

  private look(following: Following, process: SimProcess, leavesAt: number): void {
    const { simulation } = this.cluster;
    const isOver = following.watch?.end !== undefined;
    if (process.isAlive && !isOver && simulation.nowMs < leavesAt) {
      simulation.after(LOOK_MS, () => this.look(following, process, leavesAt));
      return;
    }
    following.isOver = true;
    if (process.isAlive) process.deliver(() => following.watch?.close());
    this.open(following.subject, this.rng.chance(0.7) ? following.position : undefined);
  }

  /** Sometimes late, so that queues fill. Runs in the node's own turn. */
  private hear(following: Following, process: SimProcess): void {
    following.take();
    if (this.rng.chance(0.2))
      this.cluster.simulation.after(this.rng.float() * LOOK_MS, () => process.deliver(() => following.take()));
  }
}

/** One watch on one node. */
class Following {
  readonly subject: LockSubject | SequenceSubject;
  watch: Watch | undefined;
  isOver = false;
  position: WatchPosition | undefined;
  private readonly sessions: Recorded[];
  private readonly resumedAt: Hlc | undefined;
  private current: Recorded | undefined;

  constructor(sessions: Recorded[], subject: LockSubject | SequenceSubject, position: WatchPosition | undefined) {
    this.sessions = sessions;
    this.subject = subject;
    this.position = position;
    this.resumedAt = stampIn(position);
  }

  take(): void {
    const { watch } = this;
    if (watch === undefined || this.isOver) return;
    for (let events = watch.take(2000); events.length > 0; events = watch.take(2000))
      for (const event of events) this.record(event);
    const position = watch.position();
    if (position === undefined || this.current === undefined) return;
    this.position = position;
    this.current.to = stampIn(position) ?? HLC_ZERO;
  }

  private record(event: WatchEvent): void {
    const { kind, state, stamp } = changeIn(event);
    if (kind !== 'snapshot') {
      if (this.current === undefined) throw new Error('a watch that does not begin with a snapshot');
      this.current.changes.push({ kind, state, stamp });
      return;
    }
    const name = `${this.subject.kind} ${this.subject.name}`;
    this.current = { name, snapshot: state, from: stamp, changes: [], to: stamp, resumedAt: this.resumedAt };
    this.sessions.push(this.current);
  }
}

function stampIn(position: WatchPosition | undefined): Hlc | undefined {
  return position === undefined ? undefined : [...position.values()][0]?.stamp;
}

function changeIn(event: WatchEvent): NameChange {
  if (event.kind === 'key') throw new Error('a watch of a name tells a key');
  const { kind, stamp } = event.change;
  if (event.kind === 'sequence') {
    const { entry } = event.change;
    return {
      kind,
      stamp,
      state: entry === undefined ? 'none' : `${entry.currentValue} #${entry.incarnation} r${entry.revision}`,
    };
  }
  const { held, owner, token, expires } = event.change;
  return {
    kind,
    stamp,
    state: held ? `held ${Buffer.from(owner ?? []).toString('hex')} f${token} until ${expires.l}` : `free f${token}`,
  };
}
