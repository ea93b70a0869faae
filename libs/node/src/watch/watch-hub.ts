import type { PartitionId } from '@kahuna/base';
import {
  Durability,
  type EphemeralLockObserver,
  isUsableKey,
  type LockOperation,
  LockResponseType,
  type OperationResult,
  type SequenceGet,
  type WatchShape,
} from '@kahuna/partition';
import { isReservedKey, isWellFormed, keySpaceOf } from '@kahuna/range-router';
import { type Dispatcher, partitionOf } from '../dispatcher.ts';
import type { NodeInternals } from '../internals.ts';
import { admitted } from '../operation-input.ts';
import type { StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import { TIME_NOTE } from '../time-note.ts';
import { routingView } from '../views.ts';
import type { NamedWatch } from './named-watch.ts';
import { Turns } from './turns.ts';
import type {
  KeyWatchQuery,
  LockSubject,
  QueueMeter,
  SequenceSubject,
  Watch,
  WatchEnd,
  WatchQuery,
  WatchStart,
} from './watch-api.ts';
import { EphemeralFeed, EphemeralLockWatch } from './watch-ephemeral.ts';
import { Feed } from './watch-feed.ts';
import { NameWatch } from './watch-name.ts';
import { NodeWatch, type WatchHost } from './watch-part.ts';

/** Watches open on this node, at most. */
const MAX_WATCHES = 20_000;

/** A leader that still honours a lease is asked again after this. Milliseconds. */
const ASK_AGAIN_MS = 50;

/** Rounds of reading under way: of single keys, and of many. */
const KEY_READS = 64;
const RANGE_READS = 32;

/**
 * Watches of this node. Each is served from this node's own replicas: what they apply is committed, in the same order everywhere, so
 * no leader is asked and another node can go on where this one stops.
 */
export class WatchHub implements WatchHost {
  readonly node: NodeInternals;
  readonly engine: StateEngine;
  private readonly dispatcher: Dispatcher;
  private readonly feeds = new Map<PartitionId, Feed>();
  private readonly ephemeral = new Map<PartitionId, EphemeralFeed>();
  private readonly keyReads = new Turns(KEY_READS);
  private readonly rangeReads = new Turns(RANGE_READS);
  private woken: (() => void)[] = [];
  private readonly watches = new Set<Watch & { fail(end: WatchEnd): void }>();

  constructor(node: NodeInternals, engine: StateEngine, dispatcher: Dispatcher) {
    this.node = node;
    this.engine = engine;
    this.dispatcher = dispatcher;
  }

  /** '' until this node knows a cluster, and until then no watch begins. */
  get cluster(): string {
    return this.node.system?.clusterId ?? '';
  }

  /** `meter`: of the stream to whose client the watch belongs. */
  open(query: WatchQuery, wake: () => void, meter?: QueueMeter): Watch {
    const { shape, start } = query;
    if (shape.kind === 'lock' || shape.kind === 'sequence') return this.openName(shape, start, wake);
    const refusal = this.refusalOf({ shape, start });
    if (refusal !== undefined) return this.refused(refusal, wake);
    const watch = new NodeWatch(this, { shape, start }, wake, meter);
    this.watches.add(watch);
    for (const partitionId of this.partitionsOf(watch.query.shape)) {
      const replica = this.watchable(partitionId);
      if (replica === undefined) {
        watch.fail('unavailable');
        break;
      }
      watch.begin(this.feedOf(replica));
    }
    return watch;
  }

  private openName(subject: LockSubject | SequenceSubject, start: WatchStart, wake: () => void): Watch {
    const operation = admitted(lookOf(subject)) as NameLook | undefined;
    if (operation === undefined || start.kind === 'time' || start.kind === 'revision') return this.refused('invalid', wake);
    const table = this.node.routingTable();
    const refusal = this.refusalNow();
    if (refusal !== undefined || table === undefined) return this.refused(refusal ?? 'unavailable', wake);
    const replica = this.watchable(partitionOf(table, operation));
    if (replica === undefined) return this.refused('unavailable', wake);
    if (isEphemeral(subject)) return this.openEphemeral(operation.key, replica, wake);
    const watch = new NameWatch(this, { ...subject, name: operation.key }, start, this.feedOf(replica), wake);
    this.watches.add(watch);
    return watch;
  }

  /** The replica of this node, if what it applies is what has happened. */
  private watchable(partitionId: PartitionId): Replica | undefined {
    const replica = this.node.replica(partitionId);
    return replica?.diverged ? undefined : replica;
  }

  /** Ephemeral locks live on the leader. */
  private openEphemeral(name: string, replica: Replica, wake: () => void): Watch {
    if (!replica.servesAsLeader || !replica.mayServe)
      return this.refused('not-leader', wake, this.leaderUrlOf(replica.partitionId));
    const watch = new EphemeralLockWatch(this, name, this.ephemeralFeedOf(replica), wake);
    this.watches.add(watch);
    return watch;
  }

  private ephemeralFeedOf(replica: Replica): EphemeralFeed {
    const { partitionId } = replica;
    const known = this.ephemeral.get(partitionId);
    if (known !== undefined && !known.isOver) return known;
    const feed: EphemeralFeed = new EphemeralFeed(
      this,
      replica,
      (name, done) => this.askOwnLeader(name, done),
      () => {
        if (this.ephemeral.get(partitionId) === feed) this.ephemeral.delete(partitionId);
      },
    );
    // The watches of a term that is over end with their next question or tick.
    known?.tick(this.node.hlc.current());
    this.ephemeral.set(partitionId, feed);
    return feed;
  }

  private askOwnLeader(name: string, done: (confirmed: boolean) => void): void {
    const complete = (_token: number, { type, route }: OperationResult): void => {
      const isAnswer = type === LockResponseType.Got || type === LockResponseType.LockDoesNotExist;
      done(isAnswer && route?.nodeId === this.node.nodeId);
    };
    this.dispatcher.submit(lookOf({ kind: 'lock', name, durability: Durability.Ephemeral }), { complete }, 0, 0);
  }

  /** Told by the locks of whoever leads the partition; costs a look where nobody watches. */
  ephemeralObserver(partitionId: PartitionId): EphemeralLockObserver {
    return {
      changed: (name, before, after, stamp) => {
        this.ephemeral.get(partitionId)?.changed(name, before, after, stamp);
        this.node.names.ephemeralLockChanged(name, before, after, stamp);
      },
    };
  }

  private leaderUrlOf(partitionId: PartitionId): string {
    return routingView(this.node, undefined).leaders.find(leader => leader.partitionId === partitionId)?.url ?? '';
  }

  private refused(end: WatchEnd, wake: () => void, leaderUrl = ''): Watch {
    this.wakeSoon(wake);
    return { end, leaderUrl, cluster: this.cluster, take: () => [], position: () => undefined, close: () => undefined };
  }

  private refusalOf({ shape, start }: KeyWatchQuery): WatchEnd | undefined {
    if (!isWatchable(shape)) return 'invalid';
    if (start.kind === 'revision' && (shape.kind !== 'key' || start.revision < 0)) return 'invalid';
    return this.refusalNow() ?? (this.isOfAnotherCluster(start) ? 'another-cluster' : undefined);
  }

  /** Its stamps would be taken for those of this cluster: the watch would wait in vain, or be told of another history. */
  private isOfAnotherCluster(start: WatchStart): boolean {
    return start.kind === 'places' && start.cluster !== undefined && start.cluster !== this.cluster;
  }

  private refusalNow(): WatchEnd | undefined {
    if (!this.node.accepting || this.node.routingTable() === undefined) return 'unavailable';
    return this.watches.size >= MAX_WATCHES ? 'overloaded' : undefined;
  }

  private partitionsOf(shape: WatchShape): readonly PartitionId[] {
    const table = this.node.routingTable();
    if (table === undefined) return [];
    if (shape.kind === 'prefix') return table.poolPartitions();
    return [table.lookupSpace(shape.kind === 'key' ? keySpaceOf(shape.key) : shape.keySpace).partitionId];
  }

  private feedOf(replica: Replica): Feed {
    let feed = this.feeds.get(replica.partitionId);
    if (feed === undefined) {
      feed = new Feed(replica, () => {
        this.feeds.delete(replica.partitionId);
      });
      this.feeds.set(replica.partitionId, feed);
    }
    return feed;
  }

  closed(watch: NamedWatch | NodeWatch): void {
    this.watches.delete(watch);
  }

  read(shape: WatchShape, round: () => Promise<void>): Promise<void> {
    return (shape.kind === 'key' ? this.keyReads : this.rangeReads).take(round);
  }

  wakeSoon(wake: () => void): void {
    this.woken.push(wake);
    if (this.woken.length === 1) this.node.soon(this.wakeAll);
  }

  private readonly wakeAll = (): void => {
    const woken = this.woken;
    this.woken = [];
    for (const wake of woken) wake();
  };

  /** Expiries need an entry behind them to be certain: where none comes by itself, one without effect is proposed. */
  tick(): void {
    const nowMs = this.node.hlc.current().l;
    for (const feed of [...this.ephemeral.values()]) feed.tick(this.node.hlc.current());
    for (const feed of this.feeds.values()) {
      this.askAboutLeases(feed, nowMs);
      if (feed.ticking || !feed.waitsForEntry(nowMs)) continue;
      feed.ticking = true;
      const complete = (): void => {
        feed.ticking = false;
      };
      this.dispatcher.submitCommand(TIME_NOTE, feed.partitionId, { complete }, 0, 0);
    }
  }

  /** The leader says of a lease that has run out that it has, and then it has for everybody: sooner than by the allowance for clocks. */
  private askAboutLeases(feed: Feed, nowMs: number): void {
    for (let name = feed.topics.takeEnded(nowMs); name !== undefined; name = feed.topics.takeEnded(nowMs)) {
      const asked = name;
      const complete = (_token: number, { type }: OperationResult): void => {
        if (type === LockResponseType.Got) feed.topics.askAgain(asked, nowMs + ASK_AGAIN_MS);
      };
      this.dispatcher.submit(lookOf({ kind: 'lock', name, durability: Durability.Persistent }), { complete }, 0, 0);
    }
  }

  /** The node stops, or has found that it shows something else than others. */
  endAll(): void {
    for (const watch of [...this.watches]) watch.fail('unavailable');
  }
}

function isWatchable(shape: WatchShape): boolean {
  switch (shape.kind) {
    case 'key':
      return isUsableKey(shape.key);
    case 'prefix':
      return isWellFormed(shape.prefix) && !isReservedKey(shape.prefix);
    case 'space': {
      const { keySpace, lower, upper } = shape;
      const bounds = [lower?.key ?? '', upper?.key ?? ''];
      return keySpace !== '' && !isReservedKey(keySpace) && [keySpace, ...bounds].every(isWellFormed);
    }
  }
}

type NameLook = LockOperation | SequenceGet;

/** The operation that shows the present state. */
function lookOf(subject: LockSubject | SequenceSubject): NameLook {
  if (subject.kind === 'sequence') return { kind: 'sequence-get', key: subject.name };
  return { kind: 'lock-info', key: subject.name, owner: NO_OWNER, expiresMs: 0, durability: subject.durability };
}

const NO_OWNER = new Uint8Array(0);

function isEphemeral(subject: LockSubject | SequenceSubject): boolean {
  return subject.kind === 'lock' && subject.durability === Durability.Ephemeral;
}
