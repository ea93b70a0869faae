import { HLC_ZERO, type Hlc, type Rng } from '@kahuna/base';
import {
  Durability,
  type HoldAnswer,
  type HoldOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type ScanAnswer,
  type ScanQuery,
} from '@kahuna/partition';
import type { HoldCall, SeenVersion, SnapshotEvent, SnapshotRead } from '../checkers/snapshot.ts';
import type { Cluster, SimNode } from '../world/cluster.ts';

export interface SnapshotClientOptions {
  /** Of each kind: clients that write, that read, and that hold and read. */
  readonly clients: number;
  /** Mean pause between two operations of one client; how long it waits for an answer. Milliseconds. */
  readonly thinkMs: number;
  readonly patienceMs: number;
  /** Clocks are close enough to true time for leases of holds to be judged by it. */
  readonly judgesHolds: boolean;
}

const PREFIX = 'past-';
const SPACES = 3;
const LEAVES = 2;
/** Stamps that were seen lately are what reads of the past ask for. */
const RECENT_STAMPS = 300;
/** Of holds: around the time that it takes until history is pruned. Milliseconds. */
const LEASES_MS = [700, 1500, 3000] as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const keysOf = (keySpace: string): string[] => Array.from({ length: LEAVES }, (_, i) => `${keySpace}/${i}`);
const SPACE_NAMES = Array.from({ length: SPACES }, (_, i) => `${PREFIX}${i}`);
const ALL_KEYS = SPACE_NAMES.flatMap(keysOf);

type Rows = SnapshotRead['rows'];
type Ask = (done: (rows: Rows) => void) => void;
type Then = (answered: boolean) => void;

/**
 * Snapshot workload (transactions WL-5) with reads of several keys: some clients write, some read latest buckets and the past in every
 * way there is, some hold a time and read it again and again while history is pruned around them. Every call goes to any node.
 */
export class SnapshotClients {
  readonly events: SnapshotEvent[] = [];
  private readonly cluster: Cluster;
  private readonly options: SnapshotClientOptions;
  private readonly rng: Rng;
  private readonly recent: Hlc[] = [];
  private values = 0;
  private holders = 0;
  private running = true;

  constructor(cluster: Cluster, options: SnapshotClientOptions) {
    this.cluster = cluster;
    this.options = options;
    this.rng = cluster.simulation.rng.fork();
  }

  start(): void {
    for (let i = 0; i < this.options.clients; i++) {
      this.again(then => this.write(then));
      this.again(then => this.readSomething(then));
      this.pin();
    }
  }

  stop(): void {
    this.running = false;
  }

  /** Reads everything in every way through every node until all are answered; `done` follows. Used once faults are over. */
  finish(done: () => void): void {
    let open = 0;
    for (const node of this.cluster.nodes) {
      const at = this.recent.at(-1);
      const ways = [this.bucket(node, SPACE_NAMES[0] as string), ...(at === undefined ? [] : this.waysToReadThePast(node, at))];
      for (const way of ways) {
        open++;
        this.untilAnswered(way, () => --open === 0 && done());
      }
    }
  }

  private untilAnswered(way: (then: Then) => void, done: () => void): void {
    way(answered => {
      if (answered) done();
      else this.later(20, () => this.untilAnswered(way, done));
    });
  }

  private later(ms: number, task: () => void): void {
    this.cluster.simulation.after(ms, task);
  }

  private think(task: () => void): void {
    this.later(-Math.log(1 - this.rng.float()) * this.options.thinkMs, () => {
      if (this.running) task();
    });
  }

  private again(act: (then: Then) => void): void {
    this.think(() => act(() => this.again(act)));
  }

  private node(): SimNode {
    return this.rng.pick(this.cluster.nodes);
  }

  private note(stamp: Hlc): void {
    this.recent.push(stamp);
    if (this.recent.length > RECENT_STAMPS) this.recent.shift();
  }

  // ---- writes --------------------------------------------------------------------------------------------------------------

  private write(then: Then): void {
    const { rng } = this;
    const kind = rng.chance(0.1) ? 'delete' : 'set';
    const key = rng.pick(ALL_KEYS);
    const value = kind === 'set' ? `s${++this.values}` : '';
    const invokedAt = this.cluster.simulation.nowMs;
    this.call<OperationResult>(
      (node, done) => node.submit(writeOf(kind, key, value), done),
      result => {
        const took = result?.type === ResponseType.Set || result?.type === ResponseType.Deleted;
        if (result?.type !== ResponseType.DoesNotExist) {
          const answer = took ? { revision: result.revision, stamp: result.lastModified } : undefined;
          this.events.push({ kind, key, value, invokedAt, completedAt: this.endOf(took), answer });
        }
        if (took) this.note(result.lastModified);
        then(took);
      },
    );
  }

  // ---- reads ---------------------------------------------------------------------------------------------------------------

  private readSomething(then: Then): void {
    const { rng } = this;
    const keySpace = rng.pick(SPACE_NAMES);
    if (this.recent.length === 0 || rng.chance(0.4)) {
      rng.pick([this.bucket(this.node(), keySpace), this.range(keySpace)])(then);
      return;
    }
    // Mostly lately: the older, the more likely it is gone.
    const at = rng.pick(this.recent.slice(rng.chance(0.7) ? -10 : 0));
    rng.pick(this.waysToReadThePast(this.node(), at))(then);
  }

  private waysToReadThePast(node: SimNode, at: Hlc): ((then: Then) => void)[] {
    const keySpace = this.rng.pick(SPACE_NAMES);
    return [
      this.bucket(node, keySpace, at),
      this.range(keySpace, at),
      then =>
        this.read(at, ALL_KEYS, done => this.scan(node, scanOf('prefix', PREFIX, at), answer => done(rowsOf([answer]))), then),
      then => this.read(at, ALL_KEYS, done => this.getEach(at, done), then),
    ];
  }

  private bucket(node: SimNode, keySpace: string, at?: Hlc): (then: Then) => void {
    const query = scanOf('bucket', keySpace, at);
    return then => this.read(at, keysOf(keySpace), done => this.scan(node, query, answer => done(rowsOf([answer]))), then);
  }

  /** In pages of one row, each through another node; time passes in between. */
  private range(keySpace: string, at?: Hlc): (then: Then) => void {
    const walk = (pages: ScanAnswer[], cursor: string | undefined, done: (rows: Rows) => void): void =>
      this.scan(this.node(), rangeOf(keySpace, at, cursor), page => {
        if (page?.type !== ResponseType.Get) {
          done(rowsOf([page]));
          return;
        }
        pages.push(page);
        if (page.hasMore) this.later(this.rng.float() * this.options.thinkMs, () => walk(pages, page.nextCursor, done));
        else done(rowsOf(pages));
      });
    return then => this.read(at, keysOf(keySpace), done => walk([], undefined, done), then);
  }

  /** Each key through another node: one cut all the same. */
  private getEach(at: Hlc, done: (rows: Rows) => void): void {
    const results: OperationResult[] = [];
    let open = ALL_KEYS.length;
    let unknown = false;
    for (const [i, key] of ALL_KEYS.entries()) {
      const get = { kind: 'get', key, revision: -1, readTimestamp: at, durability: Durability.Persistent } as const;
      this.node().submit(get, result => {
        if (result === undefined) unknown = true;
        else results[i] = result;
        if (--open === 0) done(unknown ? undefined : rowsOfResults(results));
      });
    }
  }

  private scan(node: SimNode, query: ScanQuery, done: (answer: ScanAnswer | undefined) => void): void {
    node.ask<ScanAnswer>((host, answer) => host.scans.scan(query, 0, answer), done);
  }

  private read(at: Hlc | undefined, keys: readonly string[], ask: Ask, then: Then): void {
    const { simulation } = this.cluster;
    const invokedAt = simulation.nowMs;
    const finish = once((rows: Rows): void => {
      if (rows !== undefined) {
        this.events.push({ kind: 'read', at, keys, invokedAt, completedAt: simulation.nowMs, rows });
        if (rows !== 'pruned' && at === undefined) for (const { stamp } of rows.values()) this.note(stamp);
      }
      then(rows !== undefined);
    });
    ask(finish);
    this.later(this.options.patienceMs, () => finish(undefined));
  }

  // ---- holds ---------------------------------------------------------------------------------------------------------------

  /** Holds a time that was seen, reads it all the while, renews the lease, gives it back or lets it run out. */
  private pin(): void {
    this.think(() => {
      if (this.recent.length === 0) {
        this.pin();
        return;
      }
      // Some of it may be gone by now: then the hold must be refused.
      const at = this.rng.pick(this.recent.slice(this.rng.chance(0.7) ? -1 : 0));
      const leaseMs = this.rng.pick(LEASES_MS);
      const hold = `holder ${++this.holders}`;
      this.hold('acquire', hold, at, leaseMs, { kind: 'hold-acquire', holderId: hold, timestamp: at, leaseMs }, answer => {
        if (answer?.type !== ResponseType.Set) this.pin();
        else this.keep({ hold, holdId: answer.holdId, at, leaseMs, until: this.cluster.simulation.nowMs + 1.5 * leaseMs });
      });
    });
  }

  private keep(kept: { hold: string; holdId: string; at: Hlc; leaseMs: number; until: number }): void {
    const { hold, holdId, at, leaseMs, until } = kept;
    this.think(() => {
      const next = (): void => this.keep(kept);
      if (this.cluster.simulation.nowMs > until) {
        if (this.rng.chance(0.5)) this.hold('release', hold, at, 0, { kind: 'hold-release', holdId }, () => this.pin());
        else this.pin();
        return;
      }
      const roll = this.rng.int(0, 9);
      if (roll === 0) this.floor(next);
      else if (roll < 3) {
        this.hold('renew', hold, at, leaseMs, { kind: 'hold-renew', holdId, leaseMs }, answer => {
          if (answer?.type === ResponseType.DoesNotExist) this.pin();
          else next();
        });
      } else this.rng.pick(this.waysToReadThePast(this.node(), at))(next);
    });
  }

  private hold(
    kind: HoldCall['kind'],
    hold: string,
    at: Hlc,
    leaseMs: number,
    operation: HoldOperation,
    then: (answer: HoldAnswer | undefined) => void,
  ): void {
    const invokedAt = this.cluster.simulation.nowMs;
    this.askHolds(operation, answer => {
      const decided = answer !== undefined && answer.type !== ResponseType.MustRetry && answer.type !== ResponseType.Errored;
      const granted = decided ? answer.type === ResponseType.Set : undefined;
      if (this.options.judgesHolds)
        this.events.push({ kind, hold, at, leaseMs, invokedAt, completedAt: this.endOf(decided), granted });
      then(decided ? answer : undefined);
    });
  }

  private floor(then: () => void): void {
    const invokedAt = this.cluster.simulation.nowMs;
    this.askHolds({ kind: 'hold-floor' }, answer => {
      if (answer?.type === ResponseType.Get && this.options.judgesHolds) {
        const { effectiveFloor: floor, liveHolds } = answer;
        this.events.push({ kind: 'floor', invokedAt, completedAt: this.cluster.simulation.nowMs, floor, liveHolds });
      }
      then();
    });
  }

  private askHolds(operation: HoldOperation, then: (answer: HoldAnswer | undefined) => void): void {
    this.call<HoldAnswer>(
      (node, done) => node.ask<HoldAnswer>((host, answer) => host.holds.ask(operation, 0, answer), done),
      then,
    );
  }

  /** Asks any node, and waits no longer than patience lasts. */
  private call<T>(
    ask: (node: SimNode, done: (answer: T | undefined) => void) => void,
    then: (answer: T | undefined) => void,
  ): void {
    const finish = once(then);
    ask(this.node(), finish);
    this.later(this.options.patienceMs, () => finish(undefined));
  }

  private endOf(answered: boolean): number {
    return answered ? this.cluster.simulation.nowMs : Number.POSITIVE_INFINITY;
  }
}

function once<T>(task: (value: T) => void): (value: T) => void {
  let done = false;
  return value => {
    if (done) return;
    done = true;
    task(value);
  };
}

function writeOf(kind: 'set' | 'delete', key: string, value: string): Operation {
  const durability = Durability.Persistent;
  if (kind === 'delete') return { kind, key, durability };
  const unconditional = { expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
  return { kind, key, value: encoder.encode(value), ...unconditional, durability };
}

function scanOf(kind: 'bucket' | 'prefix', prefix: string, at: Hlc | undefined): ScanQuery {
  return { kind, prefix, readTimestamp: at ?? HLC_ZERO, durability: Durability.Persistent };
}

function rangeOf(prefix: string, at: Hlc | undefined, cursor: string | undefined): ScanQuery {
  const everything = { startKey: undefined, startInclusive: true, endKey: undefined, endInclusive: false };
  return {
    kind: 'range',
    prefix,
    ...everything,
    limit: 1,
    readTimestamp: at ?? HLC_ZERO,
    durability: Durability.Persistent,
    cursor,
  };
}

function rowsOf(pages: readonly (ScanAnswer | undefined)[]): Rows {
  if (pages.some(page => page?.type === ResponseType.Aborted)) return 'pruned';
  if (pages.some(page => page?.type !== ResponseType.Get)) return undefined;
  return new Map(pages.flatMap(page => page?.rows.map(row => [row.key, versionOf(row.result)] as const) ?? []));
}

function rowsOfResults(results: readonly OperationResult[]): Rows {
  if (results.some(({ type }) => type === ResponseType.Aborted)) return 'pruned';
  if (results.some(({ type }) => type !== ResponseType.Get && type !== ResponseType.DoesNotExist)) return undefined;
  const rows = new Map<string, SeenVersion>();
  for (const [i, result] of results.entries()) {
    if (result.type === ResponseType.Get) rows.set(ALL_KEYS[i] as string, versionOf(result));
  }
  return rows;
}

function versionOf({ value, revision, lastModified }: OperationResult): SeenVersion {
  return { value: value === null ? '' : decoder.decode(value), revision, stamp: lastModified };
}
