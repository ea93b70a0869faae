import { compareHlc, FIRST_DATA_PARTITION, HLC_ZERO, type Hlc, isZeroHlc, META_PARTITION } from '@kahuna/base';
import {
  clip,
  effectiveFloor,
  type Hold,
  headRowOf,
  historyOf,
  historyOfKey,
  KeepCounter,
  keptBesideHead,
  keyOfRow,
  liveHolds,
  mayBePrunable,
  type OperationResult,
  type Prunable,
  type PrunedKey,
  prunable,
  ResponseType,
  type StoredRow,
} from '@kahuna/partition';
import type { Dispatcher } from './dispatcher.ts';
import type { NodeInternals } from './internals.ts';
import type { ScanPage, StateEngine } from './ports.ts';
import type { Replica } from './replica.ts';
import { type PendingRequest, type RequestOrigin, requestOfNode } from './request.ts';
import type { RetentionSettings } from './settings.ts';

/** Keys written lately that wait to be looked at; what does not fit is found by the next sweep. */
const MAX_WRITTEN = 10_000;
/** Written keys wait this long, so that a key written often is looked at once. Milliseconds. */
const WRITTEN_DELAY_MS = 1000;
/** The floor of holds that a sweep goes by may be so old: there may be thousands of holds, and a sweep asks for every key. Milliseconds. */
const FLOOR_AGE_MS = 500;
const PAGE_BYTES = 1024 * 1024;
const PAGE_ROWS = 1000;
/** A sweep looks at so many history rows at once to find keys. */
const SWEEP_ROWS = 256;

/**
 * Removes history beyond the limits (keyvalues §10.2), one batch at a time per partition that this node leads:
 *
 *     find keys ─▶ what the limits give up ─▶ P1 raises its ceiling as far as holds allow ─▶ prune command in the partition's log
 *
 * A batch for which P1 confirms no ceiling removes nothing. History is read from the engine, which may lag behind: then it shows
 * less than there is, and less is removed.
 */
export class Pruner {
  readonly node: NodeInternals;
  readonly engine: StateEngine;
  readonly dispatcher: Dispatcher;
  readonly settings: RetentionSettings;
  private readonly jobs = new Map<Replica, PruneJob>();
  private floor: Hlc = HLC_ZERO;
  private floorUntil = 0;
  readonly counters = { prunedVersions: 0, pruneCommands: 0, pruneSweeps: 0 };

  constructor(node: NodeInternals, engine: StateEngine, dispatcher: Dispatcher) {
    this.node = node;
    this.engine = engine;
    this.dispatcher = dispatcher;
    this.settings = node.settings.retention;
  }

  private get isOn(): boolean {
    return this.settings.count > 0 || this.settings.ageMs > 0;
  }

  tick(now: number): void {
    if (!this.isOn) return;
    for (const replica of this.node.replicas.values()) {
      if (replica.partitionId < FIRST_DATA_PARTITION) continue;
      if (replica.leads && replica.servesAsLeader) this.jobOf(replica, now).tick(now);
      else if (this.jobs.has(replica)) this.drop(replica);
    }
  }

  private jobOf(replica: Replica, now: number): PruneJob {
    let job = this.jobs.get(replica);
    if (job === undefined) {
      const begun = new PruneJob(this, replica, now);
      job = begun;
      this.jobs.set(replica, begun);
      if (this.settings.onWrite) replica.machine.onSuperseded = key => begun.noteWritten(key);
    }
    return job;
  }

  private drop(replica: Replica): void {
    this.jobs.delete(replica);
    replica.machine.onSuperseded = undefined;
  }

  /** As {@link knownFloor}, looked up rarely: for what P1 decides anyway. */
  recentFloor(): Hlc {
    const now = this.node.monotonicMs();
    if (now >= this.floorUntil) {
      this.floorUntil = now + FLOOR_AGE_MS;
      this.floor = this.knownFloor();
    }
    return this.floor;
  }

  /** As far as this node knows holds go; P1 has the last word. Zero: nothing is held. Looks at each hold. */
  knownFloor(): Hlc {
    return effectiveFloor(this.holds());
  }

  get liveHolds(): number {
    return this.holds().length;
  }

  /** A live hold needs what reads as of `t` need. */
  protects(t: Hlc): boolean {
    const floor = this.knownFloor();
    return !isZeroHlc(floor) && compareHlc(floor, t) <= 0;
  }

  private holds(): readonly Hold[] {
    const holds = this.node.replica(META_PARTITION)?.machine.holds.holds ?? [];
    return liveHolds(holds, this.node.hlc.current());
  }
}

/** The pruning of one partition while it is led here. One batch is under way at a time. */
class PruneJob implements RequestOrigin {
  private readonly pruner: Pruner;
  private readonly replica: Replica;
  private readonly bucket: number;
  private readonly written = new Set<string>();
  private writtenAt = 0;
  /** Keys that the sweep has found, to be looked at. */
  private readonly found: string[] = [];
  /** Where the sweep goes on; undefined: none is under way. */
  private position: Uint8Array | undefined;
  private sweepAt: number;
  private busy = false;
  /** Entry of the last removal: until it is flushed the engine still shows what it removed. */
  private removedAt = 0;
  private batch: Prunable[] = [];
  private versions = 0;

  constructor(pruner: Pruner, replica: Replica, now: number) {
    this.pruner = pruner;
    this.replica = replica;
    this.bucket = replica.partitionId - FIRST_DATA_PARTITION;
    this.sweepAt = now + pruner.settings.sweepMs;
  }

  noteWritten(key: string): void {
    if (this.written.size >= MAX_WRITTEN) return;
    if (this.written.size === 0) this.writtenAt = this.pruner.node.monotonicMs();
    this.written.add(key);
  }

  tick(now: number): void {
    if (this.busy || this.replica.flushedIndex < this.removedAt) return;
    if (this.position === undefined && now >= this.sweepAt) {
      this.sweepAt = now + this.pruner.settings.sweepMs;
      this.position = historyOf(this.bucket).from;
      this.pruner.counters.pruneSweeps++;
    }
    // Not before the last ones are looked at: what is written faster than that waits for the sweep, not in memory.
    const writtenDue = this.found.length === 0 && this.written.size > 0 && now - this.writtenAt >= WRITTEN_DELAY_MS;
    if (!writtenDue && this.found.length === 0 && this.position === undefined) return;
    this.busy = true;
    this.batch = [];
    this.versions = 0;
    if (writtenDue) {
      for (const key of this.written) this.found.push(key);
      this.written.clear();
    }
    this.next();
  }

  /** Looks at the next key, or ends the batch. */
  private next(): void {
    if (this.versions >= this.pruner.settings.batchVersions) {
      this.askCeiling();
      return;
    }
    const key = this.found.pop();
    if (key !== undefined) this.lookAt(key);
    else if (this.position !== undefined) this.sweep(this.position);
    else this.askCeiling();
  }

  private sweep(from: Uint8Array): void {
    const { to } = historyOf(this.bucket);
    this.scan({ from, to, maxRows: SWEEP_ROWS }, page => {
      const groups = groupByKey(page.rows);
      const last = groups.at(-1);
      this.position = page.more && last !== undefined ? historyOfKey(this.bucket, last.key).to : undefined;
      const nowMs = this.pruner.node.hlc.current().l;
      const { settings } = this.pruner;
      const whole = groups.filter(group => group !== last || !page.more);
      if (page.more && last !== undefined && mayBePrunable(last.rows, false, settings, nowMs)) this.found.push(last.key);
      this.collectWhole(whole.filter(group => mayBePrunable(group.rows, true, settings, nowMs)));
    });
  }

  /** Keys whose whole history is at hand: only their heads are missing. */
  private collectWhole(groups: readonly KeyHistory[]): void {
    if (groups.length === 0) {
      this.next();
      return;
    }
    const { engine, node, settings } = this.pruner;
    engine.getMany(
      groups.map(({ key }) => headRowOf(this.bucket, key)),
      (error, heads) => {
        if (node.failedEngine(error)) return;
        const nowMs = node.hlc.current().l;
        for (const [i, { key, rows }] of groups.entries()) {
          const counter = new KeepCounter(keptBesideHead(settings, heads[i]));
          counter.take(rows.toReversed());
          const keptFrom = settings.count === 0 ? 0 : (counter.keptFrom ?? 0);
          this.take(prunable(key, rows, keptFrom, settings, nowMs));
        }
        this.next();
      },
    );
  }

  /** Adds a key's part to the batch, as far as it has room; the next batch looks again at the rest. Returns false if nothing of it may go. */
  private take(part: Prunable): boolean {
    if (part.ends.length === 0 || !this.isFree(part)) return false;
    const ends = part.ends.slice(0, Math.max(0, this.pruner.settings.batchVersions - this.versions));
    if (ends.length > 0) this.batch.push({ ...part, ends });
    this.versions += ends.length;
    if (ends.length < part.ends.length) this.noteWritten(part.key);
    return true;
  }

  private lookAt(key: string): void {
    const { settings, engine, node } = this.pruner;
    if (settings.count === 0) {
      this.collect(key, 0);
      return;
    }
    engine.getMany([headRowOf(this.bucket, key)], (error, [head]) => {
      if (node.failedEngine(error)) return;
      const counter = new KeepCounter(keptBesideHead(settings, head));
      this.count(key, counter, historyOfKey(this.bucket, key).to);
    });
  }

  /** From the newest down, until the count limit is used up. */
  private count(key: string, counter: KeepCounter, to: Uint8Array): void {
    if (counter.keptFrom !== undefined) {
      this.collect(key, counter.keptFrom);
      return;
    }
    const { from } = historyOfKey(this.bucket, key);
    this.scan({ from, to, maxRows: PAGE_ROWS, reverse: true }, page => {
      counter.take(page.rows);
      const oldest = page.rows.at(-1);
      if (counter.keptFrom === undefined && page.more && oldest !== undefined) this.count(key, counter, oldest.key);
      else this.collect(key, counter.keptFrom ?? 0);
    });
  }

  /** From the oldest up, what the limits give up. */
  private collect(key: string, keptFrom: number): void {
    const { settings, node } = this.pruner;
    const maxRows = Math.max(1, settings.batchVersions - this.versions);
    this.scan({ ...historyOfKey(this.bucket, key), maxRows }, page => {
      const part = prunable(key, page.rows, keptFrom, settings, node.hlc.current().l);
      // There may be more of it: the next batch looks again.
      if (this.take(part) && page.more && part.ends.length === page.rows.length) this.noteWritten(key);
      this.next();
    });
  }

  /** No hold that this node knows of keeps all of it: saves P1 a question. */
  private isFree(part: Prunable): boolean {
    const floor = this.pruner.recentFloor();
    return isZeroHlc(floor) || clip(part, floor) !== undefined;
  }

  private scan(
    options: { readonly from: Uint8Array; readonly to: Uint8Array; readonly maxRows: number; readonly reverse?: boolean },
    done: (page: ScanPage) => void,
  ): void {
    const { engine, node } = this.pruner;
    engine.scan({ ...options, maxBytes: PAGE_BYTES }, (error, page) => {
      if (!node.failedEngine(error)) done(page);
    });
  }

  private askCeiling(): void {
    let to = HLC_ZERO;
    for (const { ends } of this.batch) {
      const end = ends.at(-1) as Hlc;
      if (compareHlc(end, to) > 0) to = end;
    }
    if (this.batch.length === 0) {
      this.busy = false;
      return;
    }
    const { dispatcher } = this.pruner;
    const sink = { complete: (_token: number, result: OperationResult) => this.prune(result) };
    dispatcher.submitCommand({ kind: 'raise-ceiling', to }, META_PARTITION, sink, 0, 0);
  }

  private prune(granted: OperationResult): void {
    const { settings, node } = this.pruner;
    const ceiling = granted.lastModified;
    const keys: PrunedKey[] = [];
    let floor = HLC_ZERO;
    for (const part of granted.type === ResponseType.Set ? this.batch : []) {
      const clipped = clip(part, ceiling);
      if (clipped === undefined) continue;
      keys.push(clipped.pruned);
      if (compareHlc(clipped.floor, floor) > 0) floor = clipped.floor;
    }
    this.versions = keys.reduce((sum, { from, below }) => sum + below - from, 0);
    if (granted.type !== ResponseType.Set) node.meters.prunesSkipped++;
    if (keys.length === 0 || !this.replica.leads) {
      this.busy = false;
      return;
    }
    const command = {
      kind: 'prune-history',
      retentionCount: settings.count,
      retentionAgeMs: settings.ageMs,
      ceiling,
      floor,
      keys,
    } as const;
    this.replica.accept(requestOfNode(node, command, this.replica.partitionId, this));
  }

  answer(_request: PendingRequest, result: OperationResult): void {
    this.busy = false;
    this.removedAt = this.replica.machine.appliedIndex;
    if (result.type !== ResponseType.Set) return;
    this.pruner.counters.pruneCommands++;
    this.pruner.counters.prunedVersions += this.versions;
  }

  refuse(request: PendingRequest): void {
    request.done = true;
    this.busy = false;
  }
}

interface KeyHistory {
  readonly key: string;
  /** Ascending by revision. */
  readonly rows: StoredRow[];
}

function groupByKey(rows: readonly StoredRow[]): KeyHistory[] {
  const groups: KeyHistory[] = [];
  for (const row of rows) {
    const key = keyOfRow(row);
    const last = groups.at(-1);
    if (last?.key === key) last.rows.push(row);
    else groups.push({ key, rows: [row] });
  }
  return groups;
}
