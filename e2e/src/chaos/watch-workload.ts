import { status } from '@grpc/grpc-js';
import { Rng } from '@kahuna/base';
import { checkWatches, type ToldChange, type WatchedWrite, type WatcherHistory, type WatchSession } from '@kahuna/sim';
import { decodePosition, type WatchTarget, type watchMessages as w } from '@kahuna/wire';
import { type Answer, type KvApi, Persistent, Type, ZERO } from '../clients/kv-api.ts';
import type { GrpcWatches, RunningWatch, WatchStart } from '../clients/watch-api.ts';
import { sleep, until } from '../harness/processes.ts';
import type { SideWorkload } from './side-workload.ts';

const SPACES = 3;
const LEAVES = 4;
const PREFIX = 'chaos-watch-';
const RANGE_SPACE = `${PREFIX}2`;
/** How often a position comes, and how long a watch may be silent before its client looks elsewhere. Milliseconds. */
const PROGRESS_MS = 200;
const SILENCE_MS = 2000;
/** From so short that it ends before the next write to outliving a fault. Milliseconds. */
const LIVES_MS = [40, 400, 3000] as const;
/** Kinds of events by number (watch.proto); extensions do not occur. */
const KINDS = ['set', 'delete', undefined, 'expire'] as const;

/** What is watched: everything, one bucket, and a part of another. */
const SCOPES: readonly { readonly name: string; readonly target: WatchTarget; readonly watches: (key: string) => boolean }[] = [
  { name: 'prefix', target: { $case: 'Prefix', Prefix: PREFIX }, watches: key => key.startsWith(PREFIX) },
  { name: 'bucket', target: { $case: 'Bucket', Bucket: `${PREFIX}1` }, watches: key => key.startsWith(`${PREFIX}1/`) },
  {
    name: 'range',
    target: {
      $case: 'Range',
      Range: {
        Bucket: RANGE_SPACE,
        ...{ StartKey: `${RANGE_SPACE}/1`, StartInclusive: true },
        ...{ EndKey: `${RANGE_SPACE}/3`, EndInclusive: false },
      },
    },
    watches: key => key === `${RANGE_SPACE}/1` || key === `${RANGE_SPACE}/2`,
  },
];

export interface WatchWorkloadOptions {
  readonly seed: number;
  /** History is kept for at least so long; a position that is younger must not be refused. Milliseconds. */
  readonly retentionMs: number;
}

/**
 * Clients that write a few keys through any node, and watchers that follow them from node to node: they resume with the last position
 * when a connection breaks or falls silent, and now and then because they feel like it.
 */
export class WatchWorkload implements SideWorkload {
  readonly name = 'watches';
  readonly writes: WatchedWrite[] = [];
  private readonly rng: Rng;
  private readonly apis: readonly KvApi[];
  private readonly nodes: readonly GrpcWatches[];
  private readonly retentionMs: number;
  private readonly clients: Promise<void>[] = [];
  private readonly watchers: Watcher[] = [];
  private values = 0;
  private stopping = false;

  constructor(options: WatchWorkloadOptions, apis: readonly KvApi[], nodes: readonly GrpcWatches[]) {
    this.rng = new Rng(options.seed);
    this.retentionMs = options.retentionMs;
    this.apis = apis;
    this.nodes = nodes;
  }

  get events(): readonly object[] {
    return [...this.writes, ...this.watchers.flatMap(watcher => watcher.histories)];
  }

  start(clients: number): void {
    for (let node = 0; node < this.nodes.length; node++) {
      for (const scope of SCOPES) {
        const name = `${scope.name} from node ${node + 1}`;
        const watcher = new Watcher({ ...scope, name }, this.nodes, node, this.retentionMs, new Rng(this.rng.int(0, 1_000_000)));
        this.watchers.push(watcher);
        watcher.run();
      }
    }
    for (let i = 0; i < clients; i++) this.clients.push(this.client());
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.clients);
  }

  /** Every key is written once more, and every watcher is told. */
  async settle(deadlineMs: number): Promise<string | undefined> {
    const keys = Array.from({ length: SPACES * LEAVES }, (_, i) => keyOf(i));
    const last = new Map<string, string>();
    const written = keys.map((key, i) =>
      until(`a write of ${key}`, deadlineMs, async () => {
        const write = await this.write(this.apis[i % this.apis.length] as KvApi, 'set', key, 0);
        if (write?.answer !== undefined) last.set(key, write.value);
        return write?.answer !== undefined;
      }),
    );
    try {
      await Promise.all(written);
      for (const watcher of this.watchers) {
        await until(`${watcher.scope.name} told the last writes`, deadlineMs, () =>
          keys.every(key => !watcher.scope.watches(key) || watcher.wasTold(key, last.get(key) as string)),
        );
      }
      return undefined;
    } catch (error) {
      return String(error);
    } finally {
      await this.stopWatchers();
    }
  }

  verdict(): string | undefined {
    const refused = this.watchers.map(watcher => watcher.violation).find(violation => violation !== undefined);
    return (
      refused ??
      checkWatches(
        this.writes,
        this.watchers.flatMap(watcher => watcher.histories),
      )
    );
  }

  /** How often a watch was taken up again. */
  get resumes(): number {
    return this.watchers.flatMap(({ histories }) => histories).reduce((sum, { sessions }) => sum + sessions.length - 1, 0);
  }

  async close(): Promise<void> {
    await this.stopWatchers();
    for (const api of [...this.apis, ...this.nodes]) api.close();
  }

  private async stopWatchers(): Promise<void> {
    await Promise.all(this.watchers.map(watcher => watcher.stop()));
  }

  private async client(): Promise<void> {
    const { rng } = this;
    // Nothing is written before somebody watches, so that everything has to be told.
    while (!this.stopping && !this.watchers.every(watcher => watcher.hasBegun)) await sleep(20);
    while (!this.stopping) {
      const key = keyOf(rng.int(0, SPACES * LEAVES - 1));
      const isDelete = rng.chance(0.15);
      const expiresMs = !isDelete && rng.chance(0.2) ? rng.pick(LIVES_MS) : 0;
      const write = await this.write(rng.pick(this.apis), isDelete ? 'delete' : 'set', key, expiresMs);
      await sleep(write !== undefined && write.answer === undefined ? 100 : rng.int(0, 60));
    }
  }

  /** undefined: it certainly changed nothing. */
  private async write(api: KvApi, kind: WatchedWrite['kind'], key: string, expiresMs: number): Promise<WatchedWrite | undefined> {
    const value = kind === 'set' ? String(this.values++) : '';
    const invokedAt = performance.now();
    let answer: Answer | undefined;
    try {
      answer =
        kind === 'set'
          ? await api.set({ key, value: Buffer.from(value), expiresMs, durability: Persistent })
          : await api.delete({ key, durability: Persistent });
    } catch {
      answer = undefined; // the connection broke: nobody knows what became of it
    }
    if (answer?.type === Type.DoesNotExist) return undefined;
    const took = answer?.type === Type.Set || answer?.type === Type.Deleted;
    const told = answer !== undefined && took ? { revision: answer.revision, stamp: answer.lastModified } : undefined;
    const write: WatchedWrite = { kind, key, value, invokedAt, answer: told };
    this.writes.push(write);
    return write;
  }
}

function keyOf(number: number): string {
  return `${PREFIX}${number % SPACES}/${Math.floor(number / SPACES)}`;
}

interface Recorded extends WatcherHistory {
  startedAt: number;
  readonly sessions: (WatchSession & { readonly events: ToldChange[] })[];
}

/** One who watches, wherever that is possible. */
class Watcher {
  readonly scope: (typeof SCOPES)[number];
  /** More than one where history was gone and it began anew. */
  readonly histories: Recorded[] = [];
  violation: string | undefined;
  private readonly nodes: readonly GrpcWatches[];
  private readonly retentionMs: number;
  private readonly rng: Rng;
  private node: number;
  private running: RunningWatch | undefined;
  private loop: Promise<void> = Promise.resolve();
  private stopped = false;
  /** What it goes on from, and how many events it had then. */
  private position: { readonly text: string; readonly events: number } | undefined;
  private events = 0;
  private lastHeardAt = 0;
  private readonly told = new Map<string, string>();

  constructor(scope: (typeof SCOPES)[number], nodes: readonly GrpcWatches[], node: number, retentionMs: number, rng: Rng) {
    this.scope = scope;
    this.nodes = nodes;
    this.node = node;
    this.retentionMs = retentionMs;
    this.rng = rng;
  }

  run(): void {
    this.loop = this.follow();
  }

  get hasBegun(): boolean {
    return this.position !== undefined;
  }

  wasTold(key: string, value: string): boolean {
    return this.told.get(key) === value;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.running?.stop();
    await this.loop;
  }

  private async follow(): Promise<void> {
    this.beginHistory();
    while (!this.stopped) {
      const end = await this.session();
      if (this.stopped) break;
      if (end.code === status.OUT_OF_RANGE) this.historyGone(end.details);
      else if (end.code !== status.UNAVAILABLE && end.code !== status.CANCELLED) {
        this.violation ??= `${this.scope.name} was refused: ${status[end.code]} ${end.details}`;
        return;
      }
      this.node = (this.node + 1) % this.nodes.length;
      await sleep(50);
    }
  }

  private beginHistory(): void {
    const { watches } = this.scope;
    const name = `${this.scope.name}${this.histories.length > 0 ? `, begun anew ${this.histories.length} times` : ''}`;
    this.histories.push({ name, startedAt: Number.POSITIVE_INFINITY, watches, sessions: [] });
    this.position = undefined;
    this.events = 0;
  }

  private historyGone(details: string): void {
    if (this.position !== undefined) {
      // By the stamps in it, which are of this machine's clock: when it was heard says less, on a machine that stood still in between.
      const { places } = decodePosition(this.scope.target, this.position.text);
      const ageMs = Date.now() - Math.min(...[...places.values()].map(({ stamp }) => stamp.l));
      if (ageMs < this.retentionMs) {
        this.violation ??= `${this.scope.name} went on from ${ageMs} ms ago and was told: ${details}`;
      }
    }
    this.beginHistory();
  }

  private start(): WatchStart {
    if (this.position !== undefined) return { $case: 'Position', Position: this.position.text };
    return this.histories.length > 1 ? { $case: 'Initial', Initial: true } : undefined;
  }

  /** Follows one stream until it ends or falls silent. */
  private async session(): ReturnType<GrpcWatches['begin']>['ended'] {
    const history = this.histories.at(-1) as Recorded;
    // What came before the first position cannot be gone on from.
    if (this.position === undefined) history.sessions.length = 0;
    const session = { resumedAt: this.position?.events ?? 0, events: [] as ToldChange[] };
    this.events = session.resumedAt;
    history.sessions.push(session);
    this.lastHeardAt = performance.now();
    const watch = (this.nodes[this.node] as GrpcWatches).begin(this.scope.target, this.start(), PROGRESS_MS, message =>
      this.hear(message, history, session.events),
    );
    this.running = watch;
    const leavesAt = performance.now() + this.rng.int(2000, 20_000);
    const patience = setInterval(() => {
      const now = performance.now();
      if (now > leavesAt || now - this.lastHeardAt > SILENCE_MS) watch.stop();
    }, 100);
    return watch.ended.finally(() => clearInterval(patience));
  }

  private hear({ Events, Position }: w.GrpcWatchResponse, history: Recorded, events: ToldChange[]): void {
    if (history !== this.histories.at(-1)) return;
    this.lastHeardAt = performance.now();
    for (const event of Events) {
      const change = changeOf(event);
      if (change === undefined) {
        this.violation ??= `${this.scope.name} told an event of kind ${event.Kind}`;
        continue;
      }
      events.push(change);
      this.events += 1;
      if (change.kind === 'set') this.told.set(change.key, change.value);
    }
    if (Position === undefined || Position === this.position?.text) return;
    if (this.position === undefined) history.startedAt = performance.now();
    this.position = { text: Position, events: this.events };
  }
}

function changeOf(event: w.GrpcWatchEvent): ToldChange | undefined {
  const kind = KINDS[event.Kind];
  if (kind === undefined) return undefined;
  const { Node, Physical, Counter } = event.Stamp ?? { Node: 0, Physical: 0n, Counter: 0 };
  return {
    ...{ kind, key: event.Key, value: Buffer.from(event.Value ?? []).toString(), revision: Number(event.Revision) },
    ...{
      stamp: event.Stamp ? { n: Node, l: Number(Physical), c: Counter } : ZERO,
      expires: Number(event.Expires?.Physical ?? 0n),
    },
    ...{ partition: event.Partition, initial: event.Initial },
  };
}
