import { Rng } from '@kahuna/base';
import { checkSnapshots, type HoldCall, type SeenVersion, type SnapshotEvent, type SnapshotReport } from '@kahuna/sim';
import type { HoldAnswer, HoldApi } from '../clients/hold-api.ts';
import { type Answer, type Hlc, type KvApi, Persistent, Type } from '../clients/kv-api.ts';
import type { ScanApi, ScanPage } from '../clients/scan-api.ts';
import { HANGS_MS, sleep } from '../harness/processes.ts';
import type { SideWorkload } from './side-workload.ts';

const PREFIX = 'chaos-snapshot-';
const SPACES = 4;
const LEAVES = 3;
/** Stamps that were seen lately are what reads of the past ask for. */
const RECENT_STAMPS = 200;
const MAX_COUNTER = 0xffff_ffff;

const space = (number: number): string => `${PREFIX}${number}`;
const keysOf = (keySpace: string): string[] => Array.from({ length: LEAVES }, (_, i) => `${keySpace}/${i}`);
const ALL_KEYS = Array.from({ length: SPACES }, (_, i) => keysOf(space(i))).flat();

/** What one node is asked with. */
export interface SnapshotApis {
  readonly kv: KvApi;
  readonly scans: ScanApi;
  readonly holds: HoldApi;
  /** Where its metrics are. */
  readonly url: string;
}

export interface SnapshotWorkloadOptions {
  readonly seed: number;
  /** History is pruned after this; holds live for up to some times as long. Milliseconds. */
  readonly retentionMs: number;
}

/** Rows of several keys; 'pruned' and undefined as in the checker. */
type Rows = ReadonlyMap<string, SeenVersion> | 'pruned' | undefined;

/**
 * WL-5 of transactions §18.2 with reads of several keys: some clients write, some read latest buckets and the past in every way there is, some hold the
 * present or a head and read it again and again while it is pruned around them. Every call goes to any node.
 */
export class SnapshotWorkload implements SideWorkload {
  readonly name = 'snapshots';
  readonly events: SnapshotEvent[] = [];
  private readonly rng: Rng;
  private readonly nodes: readonly SnapshotApis[];
  private readonly retentionMs: number;
  private readonly recent: Hlc[] = [];
  private readonly clients: Promise<void>[] = [];
  private values = 0;
  private holders = 0;
  private stopping = false;
  private missingVersions: string | undefined;
  report: SnapshotReport | undefined;

  constructor({ seed, retentionMs }: SnapshotWorkloadOptions, nodes: readonly SnapshotApis[]) {
    this.rng = new Rng(seed);
    this.retentionMs = retentionMs;
    this.nodes = nodes;
  }

  /** A third each writes, reads and holds. */
  start(clients: number): void {
    const roles = [() => this.write(), () => this.readSomething(), () => this.pin()];
    for (let i = 0; i < clients; i += roles.length) for (const role of roles) this.clients.push(this.client(role));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.clients);
  }

  async close(): Promise<void> {
    for (const { kv, scans, holds } of this.nodes) for (const api of [kv, scans, holds]) api.close();
  }

  /** Every way to read works again through every node, and no node missed what a hold protects. */
  async settle(deadlineMs: number): Promise<string | undefined> {
    const deadline = performance.now() + deadlineMs;
    const open = await Promise.all(
      this.nodes.map(async node => {
        const now = this.present();
        for (const read of [this.bucket(node, space(0)), ...this.readers(node, now)]) {
          while (!(await read())) {
            if (performance.now() > deadline) return node.url;
            await sleep(50);
          }
        }
        return undefined;
      }),
    );
    const stuck = open.filter(url => url !== undefined);
    if (stuck.length > 0) return `not readable ${deadlineMs} ms after the last repair: ${stuck.join(', ')}`;
    for (const { url } of this.nodes) await this.askMissingVersions(url);
    return undefined;
  }

  verdict(): string | undefined {
    this.report = checkSnapshots(this.events);
    return this.report.violation ?? this.missingVersions;
  }

  private async client(act: () => Promise<boolean>): Promise<void> {
    while (!this.stopping) {
      const answered = await act();
      await sleep(answered ? this.rng.int(0, 60) : 100);
    }
  }

  private any(): SnapshotApis {
    return this.rng.pick(this.nodes);
  }

  /** As of this millisecond by the clock of this process (transactions P-11). */
  private present(): Hlc {
    return { n: 0, l: Date.now(), c: MAX_COUNTER };
  }

  private note(stamp: Hlc): void {
    this.recent.push(stamp);
    if (this.recent.length > RECENT_STAMPS) this.recent.shift();
  }

  // ---- writes --------------------------------------------------------------------------------------------------------------

  private async write(): Promise<boolean> {
    const kind = this.rng.chance(0.1) ? 'delete' : 'set';
    const key = this.rng.pick(ALL_KEYS);
    const value = kind === 'set' ? `v${this.values++}` : '';
    const { kv } = this.any();
    const invokedAt = performance.now();
    const answer = await orUndefined(
      kind === 'set'
        ? kv.set({ key, value: Buffer.from(value), durability: Persistent })
        : kv.delete({ key, durability: Persistent }),
    );
    if (answer?.type === Type.DoesNotExist) return true;
    const took = answer !== undefined && (answer.type === Type.Set || answer.type === Type.Deleted);
    const seen = took ? { revision: answer.revision, stamp: answer.lastModified } : undefined;
    const completedAt = took ? performance.now() : Number.POSITIVE_INFINITY;
    this.events.push({ kind, key, value, invokedAt, completedAt, answer: seen });
    if (seen !== undefined) this.note(seen.stamp);
    return took;
  }

  // ---- reads ---------------------------------------------------------------------------------------------------------------

  private async readSomething(): Promise<boolean> {
    const { rng } = this;
    const keySpace = space(rng.int(0, SPACES - 1));
    if (rng.chance(0.4)) return rng.pick([this.bucket(this.any(), keySpace), this.range(this.any(), keySpace)])();
    // Mostly lately: the older, the more likely it is gone.
    const recent = this.recent.slice(rng.chance(0.7) ? -10 : 0);
    const at = recent.length === 0 || rng.chance(0.3) ? this.present() : rng.pick(recent);
    return rng.pick(this.readers(this.any(), at))();
  }

  /** All ways to read the past. */
  private readers(node: SnapshotApis, at: Hlc): (() => Promise<boolean>)[] {
    const keySpace = space(this.rng.int(0, SPACES - 1));
    const items = ALL_KEYS.map(key => ({ key, durability: Persistent }));
    return [
      this.bucket(node, keySpace, at),
      this.range(node, keySpace, at),
      () =>
        this.read(at, ALL_KEYS, async () =>
          rowsOfPages([await node.scans.scanAll({ prefixKey: PREFIX, durability: Persistent, readTimestamp: at })]),
        ),
      () => this.read(at, ALL_KEYS, async () => rowsOfAnswers(ALL_KEYS, await node.kv.getMany(items, at))),
      // Each key through another node: one cut all the same.
      () =>
        this.read(at, ALL_KEYS, async () =>
          rowsOfAnswers(
            ALL_KEYS,
            await Promise.all(ALL_KEYS.map(key => this.any().kv.get({ key, durability: Persistent, readTimestamp: at }))),
          ),
        ),
    ];
  }

  private bucket({ scans }: SnapshotApis, keySpace: string, at?: Hlc): () => Promise<boolean> {
    const time = at === undefined ? {} : { readTimestamp: at };
    return () =>
      this.read(at, keysOf(keySpace), async () =>
        rowsOfPages([await scans.bucket({ prefixKey: keySpace, durability: Persistent, ...time })]),
      );
  }

  /** In pages of one row, over which time passes. */
  private range({ scans }: SnapshotApis, keySpace: string, at?: Hlc): () => Promise<boolean> {
    const time = at === undefined ? {} : { readTimestamp: at };
    return () =>
      this.read(at, keysOf(keySpace), async () =>
        rowsOfPages(await scans.pages({ prefix: keySpace, durability: Persistent, limit: 1, ...time })),
      );
  }

  private async read(at: Hlc | undefined, keys: readonly string[], ask: () => Promise<Rows>): Promise<boolean> {
    const invokedAt = performance.now();
    const rows = await orUndefined(ask());
    if (rows === undefined) return false;
    this.events.push({ kind: 'read', at, keys, invokedAt, completedAt: performance.now(), rows });
    if (rows !== 'pruned' && at === undefined) for (const { stamp } of rows.values()) this.note(stamp);
    return true;
  }

  // ---- holds ---------------------------------------------------------------------------------------------------------------

  /** Holds a head or the present for a while, reads it all the time, renews the lease, gives it back or lets it run out. */
  private async pin(): Promise<boolean> {
    const { rng } = this;
    const leaseMs = rng.int(3000, Math.max(4000, this.retentionMs));
    const at = (await this.head()) ?? this.present();
    const holder = `holder ${++this.holders}`;
    const granted = await this.hold('acquire', holder, at, leaseMs, holds => holds.acquire(holder, at, leaseMs));
    if (granted?.type !== Type.Set) return false;
    const { holdId } = granted;
    const ends = performance.now() + rng.int(1000, 3 * this.retentionMs);
    let renewed = performance.now();
    while (!this.stopping && performance.now() < ends) {
      await rng.pick(this.readers(this.any(), at))();
      if (rng.chance(0.1)) await this.floor();
      if (performance.now() - renewed > leaseMs / 3) {
        const answer = await this.hold('renew', holder, at, leaseMs, holds => holds.renew(holdId, leaseMs));
        if (answer?.type === Type.Set) renewed = performance.now();
        if (answer?.type === Type.DoesNotExist) return true; // it had run out
      }
      await sleep(rng.int(0, 400));
    }
    if (rng.chance(0.5)) await this.hold('release', holder, at, 0, holds => holds.release(holdId));
    return true;
  }

  /** The stamp of some key's head; undefined in half of the cases, for the present. */
  private async head(): Promise<Hlc | undefined> {
    if (this.rng.chance(0.5)) return undefined;
    const answer = await orUndefined(this.any().kv.get({ key: this.rng.pick(ALL_KEYS), durability: Persistent }));
    return answer?.type === Type.Get ? answer.lastModified : undefined;
  }

  private async hold(
    kind: HoldCall['kind'],
    hold: string,
    at: Hlc,
    leaseMs: number,
    ask: (holds: HoldApi) => Promise<HoldAnswer>,
  ): Promise<HoldAnswer | undefined> {
    const invokedAt = performance.now();
    const answer = await orUndefined(ask(this.any().holds));
    const decided = answer !== undefined && answer.type !== Type.MustRetry && answer.type !== Type.Errored;
    const granted = decided ? answer.type === Type.Set : undefined;
    const completedAt = decided ? performance.now() : Number.POSITIVE_INFINITY;
    this.events.push({ kind, hold, at, leaseMs, invokedAt, completedAt, granted });
    return decided ? answer : undefined;
  }

  private async floor(): Promise<void> {
    const invokedAt = performance.now();
    const answer = await orUndefined(this.any().holds.floor());
    if (answer?.type !== Type.Get) return;
    const { effectiveFloor: floor, liveHolds } = answer;
    this.events.push({ kind: 'floor', invokedAt, completedAt: performance.now(), floor, liveHolds });
  }

  /** (e) of WL-5. */
  private async askMissingVersions(url: string): Promise<void> {
    const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(HANGS_MS) })).text();
    const told = [...text.matchAll(/^(\S*missing_protected_version_total\S*) (\d+)/gm)];
    if (told.length === 0) this.missingVersions ??= `${url} does not count missing protected versions`;
    for (const [, name, count] of told) if (count !== '0') this.missingVersions ??= `${url}: ${name} is ${count}`;
  }
}

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch {
    return undefined; // the connection broke: one of the answers that this is about
  }
}

function versionOf(row: { readonly value: Buffer | null; readonly revision: number; readonly lastModified: Hlc }): SeenVersion {
  return { value: String(row.value), revision: row.revision, stamp: row.lastModified };
}

function rowsOfPages(pages: readonly ScanPage[]): Rows {
  if (pages.some(({ type }) => type === Type.Aborted)) return 'pruned';
  if (pages.some(({ type }) => type !== Type.Get)) return undefined;
  return new Map(pages.flatMap(page => page.rows.map(row => [row.key, versionOf(row)] as const)));
}

function rowsOfAnswers(keys: readonly string[], answers: readonly Answer[]): Rows {
  if (answers.some(({ type }) => type === Type.Aborted)) return 'pruned';
  if (answers.some(({ type }) => type !== Type.Get && type !== Type.DoesNotExist)) return undefined;
  const rows = new Map<string, SeenVersion>();
  for (const [i, answer] of answers.entries()) if (answer.type === Type.Get) rows.set(keys[i] as string, versionOf(answer));
  return rows;
}
