import { HLC_ZERO, type PartitionId } from '@kahuna/base';
import { isUsableKey, type WatchShape } from '@kahuna/partition';
import { isReservedKey, isWellFormed, keySpaceOf } from '@kahuna/range-router';
import type { Dispatcher } from './dispatcher.ts';
import type { NodeInternals } from './internals.ts';
import type { StateEngine } from './ports.ts';
import type { Replica } from './replica.ts';
import type { KeyWatchQuery, Watch, WatchEnd, WatchQuery, WatchSubject } from './watch-api.ts';
import { Feed } from './watch-feed.ts';
import { NodeWatch, type WatchHost } from './watch-part.ts';

/** Watches open on this node, at most. */
const MAX_WATCHES = 20_000;

/** A prune of nothing: an entry without effect, whose stamp is above the expiries that wait for one. */
const NOTHING = {
  kind: 'prune-history',
  retentionCount: 0,
  retentionAgeMs: 0,
  ceiling: HLC_ZERO,
  floor: HLC_ZERO,
  keys: [],
} as const;

/**
 * Watches of this node. Each is served from this node's own replicas: what they apply is committed, in the same order everywhere, so
 * no leader is asked and another node can go on where this one stops.
 */
export class WatchHub implements WatchHost {
  readonly node: NodeInternals;
  readonly engine: StateEngine;
  private readonly dispatcher: Dispatcher;
  private readonly feeds = new Map<PartitionId, Feed>();
  private readonly watches = new Set<NodeWatch>();

  constructor(node: NodeInternals, engine: StateEngine, dispatcher: Dispatcher) {
    this.node = node;
    this.engine = engine;
    this.dispatcher = dispatcher;
  }

  open(query: WatchQuery, wake: () => void): Watch {
    const watch = new NodeWatch(this, query as KeyWatchQuery, wake);
    const refusal = this.refusalOf(query);
    if (refusal !== undefined) {
      watch.fail(refusal);
      return watch;
    }
    this.watches.add(watch);
    for (const partitionId of this.partitionsOf(watch.query.shape)) {
      const replica = this.node.replica(partitionId);
      if (replica === undefined) {
        watch.fail('unavailable');
        break;
      }
      watch.begin(this.feedOf(replica));
    }
    return watch;
  }

  private refusalOf({ shape, start }: WatchQuery): WatchEnd | undefined {
    if (!isWatchable(shape)) return 'invalid';
    if (start.kind === 'revision' && (shape.kind !== 'key' || start.revision < 0)) return 'invalid';
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

  closed(watch: NodeWatch): void {
    this.watches.delete(watch);
  }

  /** Expiries need an entry behind them to be certain: where none comes by itself, one without effect is proposed. */
  tick(): void {
    if (this.feeds.size === 0) return;
    const nowMs = this.node.hlc.current().l;
    for (const feed of this.feeds.values()) {
      if (feed.ticking || !feed.waitsForEntry(nowMs)) continue;
      feed.ticking = true;
      const complete = (): void => {
        feed.ticking = false;
      };
      this.dispatcher.submitCommand(NOTHING, feed.partitionId, { complete }, 0, 0);
    }
  }

  /** The node stops. */
  endAll(): void {
    for (const watch of [...this.watches]) watch.fail('unavailable');
  }
}

function isWatchable(shape: WatchSubject): boolean {
  switch (shape.kind) {
    case 'lock':
    case 'sequence':
      return false;
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
