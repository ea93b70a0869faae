import { randomBytes } from 'node:crypto';
import type { Clock } from '@kahuna/base';
import {
  type ErrorCode,
  type EventItem,
  HEAT_METRICS,
  type KeyedRow,
  type Level,
  type NodeRow,
  type PartitionRow,
  PROTOCOL_VERSION,
  type ProblemRow,
  type RowValue,
  TICK_MS,
  type TickFrame,
  type Topic,
  type TopicParams,
  type WelcomeFrame,
} from '@kahuna/console/protocol';
import type { KahunaNode, NodeEvent, NodeFacts } from '@kahuna/node';
import { Counter, Gauge } from './fact-names.ts';
import { AppendFeed, type Feed, FRAME_BYTES, LOG_MS, StateFeed } from './feed.ts';
import { isAtLeast, topicLevel } from './levels.ts';
import { LiveRead } from './live-read.ts';
import { LoadRecorder } from './load-recorder.ts';
import { LOAD_STEPS, type LoadStep } from './load-tracks.ts';
import { newsOf } from './news.ts';
import { Operations } from './operations.ts';
import { PeerOperations } from './peer-operations.ts';
import { PeerShare } from './peer-share.ts';
import {
  DEFAULT_THRESHOLDS,
  type FirstSeen,
  judge,
  overviewRow,
  type Thresholds,
  type VerdictResult,
  verdictOf,
} from './problems.ts';
import { RateMeter } from './rate-meter.ts';
import { ConsoleReads, type ReadAnswer, WINDOW_ROWS } from './reads.ts';
import { filled, SERIES_STEPS, SeriesLine, SeriesRecorder, type SeriesStep } from './series.ts';
import { type FeedSource, MAX_SUBSCRIPTIONS, Session, type Socket, UNACKED_FRAMES } from './session.ts';
import { isSort } from './sorting.ts';
import {
  buildView,
  type ClusterView,
  partitionDetail,
  type SourceFacts,
  STALE_AFTER_MS,
  sourceAges,
  spaceRows,
  sumKnown,
  type ViewInput,
} from './view.ts';

export const MAX_CONNECTIONS = 64;
const MAX_ROWS = 20_000;
/** Heartbeat of the hub while somebody is connected: looks for new facts, paces the frames. */
const STEP_MS = 100;
/** The serving node's own facts are read at least this often while somebody subscribes; events hurry it. */
const VIEW_EVERY_MS = 250;
/** Building views takes at most this share of the node's processor. */
const VIEW_SHARE = 0.02;
/** Gauges go out at most this often, and this often on a loaded node (console §4.2, §5.7). */
const GAUGES_EVERY_MS = 1_000;
const GAUGES_WHEN_LOADED_MS = 5_000;
const LOADED_LOOP_P99_MS = 50;
/** What is found so soon after somebody began to look was there before, as far as anybody knows. */
const FIRST_LOOK_MS = 5_000;
/** Peers go on being asked for facts this long after the last subscription (console §4.1). */
const GATHER_LINGER_MS = 30_000;
/** Feeds are kept for browsers that return within this time. */
const FEED_LINGER_MS = LOG_MS;
const EVENTS_AT_ONCE = 1000;

export interface ConsoleSettings {
  /** Name of the cluster in the frame; without it the first digits of the cluster id. */
  readonly title?: string | undefined;
  /** Word of the colour band across the top, e.g. PRODUCTION. */
  readonly banner?: string | undefined;
  readonly bannerTone?: 'warning' | 'danger' | 'neutral' | undefined;
  /** Origins beside the request's own that may open the stream, e.g. `https://ops.example`. */
  readonly allowedOrigins: readonly string[];
  /** What everybody who reaches the console may do (console §11). */
  readonly level: Level;
  readonly clock: Clock;
  readonly thresholds?: Thresholds;
}

/** Repeats `task` until the returned function is called. */
export type Every = (ms: number, task: () => void) => () => void;

const everyUnref: Every = (ms, task) => {
  const timer = setInterval(task, ms);
  timer.unref();
  return () => clearInterval(timer);
};

/** Members that change all the time. The others are discrete: they are sent at once. */
const NO_GAUGES: ReadonlySet<string> = new Set();
const GAUGES: Partial<Record<Topic, ReadonlySet<string>>> = {
  overview: new Set(['traffic']),
  nodes: new Set(['cpu', 'eventLoopP99Ms', 'rssBytes', 'heapBytes', 'disk', 'clock', 'net', 'queues', 'traffic']),
  reach: new Set(['rttMs', 'lastHeardAgoMs', 'clockOffsetMs']),
  partitions: new Set(['commitIndex', 'appliedIndex', 'durableIndex', 'firstIndex', 'load', 'size', 'checksum', 'replicas']),
  partition: new Set([
    'commitIndex',
    'appliedIndex',
    'durableIndex',
    'firstIndex',
    'load',
    'size',
    'checksum',
    'replicas',
    'reports',
  ]),
};

interface OpenFeed {
  readonly feed: Feed;
  readonly topic: Topic;
  readonly params: TopicParams;
  readonly refresh: (nowMs: number, withGauges: boolean) => void;
  /** Topics that no fact carries are read on demand. */
  readonly live: LiveRead | undefined;
  subscribers: number;
  idleSinceMs: number;
  gaugesAtMs: number;
}

/** Everything the console knows at one instant. */
interface Picture {
  readonly input: ViewInput;
  readonly view: ClusterView;
  readonly problems: readonly ProblemRow[];
  readonly overview: RowValue;
  readonly values: Readonly<Record<string, number | null>>;
}

/**
 * Gathers once and serialises once for all browsers of this node (console §5.7), and only while there are any (C9): the first
 * connection starts the one timer, which ends itself a minute after the last.
 */
export class ConsoleHub implements FeedSource {
  private readonly sessions = new Set<Session>();
  private readonly feeds = new Map<string, OpenFeed>();
  private readonly rates = new RateMeter();
  private readonly series = new SeriesRecorder();
  private readonly heard = new Map<number, { readonly facts: NodeFacts; readonly atMs: number }>();
  private readonly unlinkedSince = new Map<number, number>();
  private firstSeen: FirstSeen = new Map();
  /** By the wall clock; undefined: nobody looks. */
  private firstLookMs: number | undefined;
  private verdict: (VerdictResult & { readonly sinceMs: number; readonly atLeast: boolean }) | undefined;
  private picture: Picture | undefined;
  private pictureAtMs = Number.NEGATIVE_INFINITY;
  private buildCostMs = 0;
  private viewSeq = 0;
  private hurry = false;
  private tickedAtMs = 0;
  private sourcesShown = '';
  private subscribedAtMs = Number.NEGATIVE_INFINITY;
  private connectedAtMs = Number.NEGATIVE_INFINITY;
  private stopGathering: (() => void) | undefined;
  private stopRunning: (() => void) | undefined;
  private sessionCount = 0;
  private readonly node: KahunaNode;
  private readonly settings: ConsoleSettings;
  private readonly every: Every;
  readonly reads: ConsoleReads;
  readonly operations: Operations;
  private readonly allOperations: PeerOperations;
  readonly loads: LoadRecorder;
  private readonly peerShare: PeerShare;

  constructor(node: KahunaNode, settings: ConsoleSettings, every: Every = everyUnref) {
    this.node = node;
    this.settings = settings;
    this.every = every;
    this.reads = new ConsoleReads(node, settings.clock, settings.level);
    this.operations = new Operations(
      node,
      this.reads,
      () => this.present().view,
      settings.clock,
      settings.level,
      () => {
        this.hurry = true;
      },
    );
    this.allOperations = new PeerOperations(this.operations, settings.clock);
    this.loads = new LoadRecorder(settings.clock);
    this.peerShare = new PeerShare(this.loads, this.allOperations, settings.clock);
    node.shareWithPeers(nodeId => this.peerShare.answer(nodeId));
  }

  get connections(): number {
    return this.sessions.size;
  }

  /** What the console costs right now: all zero when nobody has looked for a minute (C9). */
  cost(): { readonly timers: number; readonly feeds: number; readonly gathering: boolean } {
    return {
      timers: this.stopRunning === undefined ? 0 : 1,
      feeds: this.feeds.size,
      gathering: this.stopGathering !== undefined,
    };
  }

  /**
   * Begins to note loads, whoever looks: the past is there when somebody does (console §4.1). A few counters every ten seconds. Returns
   * the end.
   */
  record(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const next = (): void => {
      timer = setTimeout(() => {
        this.loads.sample(this.node.facts());
        this.hurry = true;
        next();
      }, this.loads.untilNextMs());
      timer.unref();
    };
    next();
    return () => clearTimeout(timer);
  }

  // ---- connections ----------------------------------------------------------------------------------------------------------

  connect(socket: Socket): Session {
    const session = new Session(`c-${randomBytes(4).toString('hex')}-${++this.sessionCount}`, socket, this, this.mono());
    this.sessions.add(session);
    this.run();
    return session;
  }

  disconnect(session: Session): void {
    session.dispose();
    this.sessions.delete(session);
    this.connectedAtMs = this.mono();
  }

  /** Says goodbye to every browser and names the nodes that go on (console §5.4). */
  close(): void {
    const { name, membership } = this.node.facts();
    const tryUrls = membership.members.filter(m => m.consoleUrl !== '' && m.name !== name).map(m => m.consoleUrl);
    for (const session of this.sessions) {
      session.bye({ t: 'bye', code: 'shutting-down', message: `${name} is stopping`, reconnectMs: 1000, tryUrls });
      session.dispose();
    }
    this.sessions.clear();
    this.stop();
  }

  // ---- the one timer ----------------------------------------------------------------------------------------------------------

  private run(): void {
    if (this.stopRunning !== undefined) return;
    this.beginToLook();
    const forgetEvents = this.node.events.subscribe(() => {
      this.hurry = true;
    });
    const cancel = this.every(STEP_MS, () => this.step());
    this.stopRunning = () => {
      cancel();
      forgetEvents();
    };
  }

  /** One heartbeat: public so that tests own the time. */
  step(): void {
    const now = this.mono();
    if (this.subscriptions() > 0) {
      this.subscribedAtMs = now;
      this.refreshIfDue(now);
      this.readOnDemand(now);
    } else if (now - this.subscribedAtMs > GATHER_LINGER_MS) this.stopGather();
    if (this.sessions.size > 0) this.connectedAtMs = now;
    this.tickIfDue(now);
    for (const session of this.sessions) {
      session.checkGreeting(now);
      session.pump(now);
    }
    this.dropIdleFeeds(now);
    if (this.sessions.size === 0 && now - this.connectedAtMs > FEED_LINGER_MS) this.stop();
  }

  private stop(): void {
    this.stopRunning?.();
    this.stopRunning = undefined;
    this.stopGather();
    this.feeds.clear();
    this.picture = undefined;
    this.pictureAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Nobody has seen what happened until now: what is found did not begin when it was last seen, nor now. */
  private beginToLook(): void {
    this.verdict = undefined;
    this.firstLookMs = undefined;
    this.firstSeen = new Map();
  }

  private stopGather(): void {
    this.stopGathering?.();
    this.stopGathering = undefined;
    this.heard.clear();
    this.unlinkedSince.clear();
    this.rates.forget();
  }

  private subscriptions(): number {
    let n = 0;
    for (const session of this.sessions) n += session.subscriptionCount;
    return n;
  }

  private dropIdleFeeds(now: number): void {
    for (const [key, open] of this.feeds) {
      if (open.subscribers === 0 && now - open.idleSinceMs > FEED_LINGER_MS) this.feeds.delete(key);
    }
  }

  private tickIfDue(now: number): void {
    if (this.sessions.size === 0) return;
    const self = this.picture?.input.self;
    const sources = self === undefined ? [] : sourceAges({ self, sources: this.sourcesNow(now, self) });
    const shown = sources.map(s => `${s.nodeId}${s.state}`).join();
    if (now - this.tickedAtMs < TICK_MS && shown === this.sourcesShown) return;
    this.tickedAtMs = now;
    this.sourcesShown = shown;
    const frame: Omit<TickFrame, 'coalescing'> = {
      t: 'tick',
      serverTimeMs: Math.round(this.settings.clock.wallMs()),
      viewSeq: String(this.viewSeq),
      sources,
    };
    const loaded = this.loaded();
    const texts = [JSON.stringify({ ...frame, coalescing: loaded }), JSON.stringify({ ...frame, coalescing: true })] as const;
    for (const session of this.sessions) session.tick(texts[session.coalescing ? 1 : 0]);
  }

  // ---- the view ---------------------------------------------------------------------------------------------------------------

  private refreshIfDue(now: number): void {
    if (this.newsFromPeers(now)) this.hurry = true;
    const since = now - this.pictureAtMs;
    if (since < this.buildCostMs / VIEW_SHARE || since < (this.hurry ? STEP_MS / 2 : VIEW_EVERY_MS)) return;
    this.hurry = false;
    this.look(now);
    for (const open of this.feeds.values()) if (open.subscribers > 0) this.refresh(open, now);
    this.recordSeries();
  }

  private readOnDemand(now: number): void {
    const loaded = this.loaded();
    for (const { live, subscribers } of this.feeds.values()) if (subscribers > 0) live?.step(now, loaded, this.mono);
  }

  private refresh(open: OpenFeed, now: number): void {
    const withGauges = now - open.gaugesAtMs >= (this.loaded() ? GAUGES_WHEN_LOADED_MS : GAUGES_EVERY_MS);
    if (withGauges) open.gaugesAtMs = now;
    open.refresh(now, withGauges);
  }

  private loaded(): boolean {
    return (this.picture?.input.self.gauges[Gauge.eventLoopP99] ?? 0) > LOADED_LOOP_P99_MS;
  }

  /** Notices facts that arrived since the last look; their age counts from then, whatever clock the peer has. */
  private newsFromPeers(now: number): boolean {
    let news = false;
    for (const member of this.node.membership().members) {
      const answer = this.node.peerFacts(member.nodeId);
      if (answer === undefined || this.heard.get(member.nodeId)?.facts === answer.facts) continue;
      const first = !this.heard.has(member.nodeId);
      // The first facts at hand may be left over from an earlier gathering: trust their own date, later ones came just now.
      const atMs = first ? now - Math.max(0, this.settings.clock.wallMs() - answer.facts.wallMs) : now;
      this.heard.set(member.nodeId, { facts: answer.facts, atMs });
      this.rates.observe(answer.facts);
      this.peerShare.take(answer.facts);
      news = true;
    }
    return news;
  }

  private sourcesNow(now: number, self: NodeFacts): ReadonlyMap<number, SourceFacts> {
    const sources = new Map<number, SourceFacts>([[self.nodeId, { facts: self, ageMs: 0 }]]);
    const members = new Set(self.membership.members.map(m => m.nodeId));
    for (const [nodeId, { facts, atMs }] of this.heard) {
      if (members.has(nodeId) && nodeId !== self.nodeId) sources.set(nodeId, { facts, ageMs: Math.max(0, now - atMs) });
    }
    return sources;
  }

  private look(now: number): Picture {
    const startedMs = performance.now();
    const self = this.node.facts();
    this.rates.observe(self);
    for (const peer of self.peers) {
      if (peer.connected) this.unlinkedSince.delete(peer.nodeId);
      else if (!this.unlinkedSince.has(peer.nodeId)) {
        // The node remembers when it last heard the peer, so a console opened later does not begin to count anew.
        const silentMs = peer.lastHeardMs > 0 ? Math.max(0, this.settings.clock.wallMs() - peer.lastHeardMs) : 0;
        this.unlinkedSince.set(peer.nodeId, now - silentMs);
      }
    }
    const unlinkedMs = new Map([...this.unlinkedSince].map(([id, since]) => [id, now - since]));
    const nowMs = Math.round(this.settings.clock.wallMs());
    const input: ViewInput = { nowMs, self, sources: this.sourcesNow(now, self), unlinkedMs, rates: this.rates };
    this.picture = this.compose(input);
    this.pictureAtMs = now;
    this.viewSeq++;
    this.buildCostMs = performance.now() - startedMs;
    return this.picture;
  }

  private compose(input: ViewInput): Picture {
    const view = buildView(input);
    const judgement = judge(view, this.firstSeen, this.settings.thresholds ?? DEFAULT_THRESHOLDS);
    this.firstSeen = judgement.firstSeen;
    const result = verdictOf(view, judgement.problems);
    this.firstLookMs ??= input.nowMs;
    const foundMs = this.firstLookMs + FIRST_LOOK_MS;
    const known = this.verdict?.verdict === result.verdict ? this.verdict : undefined;
    const sinceMs = known?.sinceMs ?? input.nowMs;
    const atLeast = known?.atLeast ?? sinceMs <= foundMs;
    this.verdict = { ...result, sinceMs, atLeast };
    const problems = judgement.problems.map(p => (p.since <= foundMs ? { ...p, sinceAtLeast: true } : p));
    const fresh = [...input.sources.values()].filter(s => s.ageMs <= STALE_AFTER_MS).map(s => s.facts);
    const p99Ms = { read: worst(fresh, Gauge.readP99), write: worst(fresh, Gauge.writeP99) };
    const retriesPerSec = sumKnown(fresh.map(facts => this.rates.of(facts.nodeId).counter(Counter.retries)));
    const overview = overviewRow(view, judgement.problems, result, {
      verdictSinceMs: sinceMs,
      verdictSinceAtLeast: atLeast,
      p99Ms,
      retriesPerSec,
    });
    const { readsPerSec, writesPerSec } = overview.traffic;
    return {
      input,
      view,
      problems,
      overview: overview as unknown as RowValue,
      values: { readsPerSec, writesPerSec, retriesPerSec, readP99Ms: p99Ms.read, writeP99Ms: p99Ms.write },
    };
  }

  /** The newest picture, looked at again if it has aged. */
  present(): Picture {
    const now = this.mono();
    this.newsFromPeers(now);
    return this.picture === undefined || now - this.pictureAtMs >= VIEW_EVERY_MS ? this.look(now) : this.picture;
  }

  private recordSeries(): void {
    if (this.picture !== undefined) this.series.record(this.settings.clock.wallMs(), this.picture.values);
  }

  /** The charts go on when a bucket is full, and begin anew when more of the past is known. */
  private seriesRefresh(feed: AppendFeed, params: TopicParams): () => void {
    const step = stepOf(params);
    const line = new SeriesLine(feed, step, params.names);
    let shown = '';
    return () => {
      const version = `${this.series.version(step)} ${this.loads.version}`;
      if (version === shown) return;
      shown = version;
      const past = this.loads.traffic(step === 60 ? 60 : 10);
      line.show(filled(this.series.buckets(step), past, step, this.settings.clock.wallMs()));
    };
  }

  // ---- feeds (FeedSource) -------------------------------------------------------------------------------------------------------

  open(topic: string, params: TopicParams): Feed | { readonly error: ErrorCode; readonly message: string } {
    const wrong = checkParams(topic, params);
    if (wrong !== undefined) return wrong;
    const wanted = topicLevel(topic as Topic);
    if (!isAtLeast(this.settings.level, wanted)) return { error: 'forbidden', message: `${topic} needs the level ${wanted}` };
    const key = `${topic} ${canonical(params)}`;
    const existing = this.feeds.get(key);
    const open = existing ?? this.create(topic as Topic, params);
    this.stopGathering ??= this.node.gatherPeerFacts();
    this.subscribedAtMs = this.mono();
    this.present();
    if (existing === undefined || existing.subscribers === 0) {
      open.refresh(this.mono(), true);
      open.live?.begin(this.mono(), this.mono);
      open.gaugesAtMs = this.mono();
    }
    if (open.feed instanceof StateFeed && open.feed.size > MAX_ROWS) {
      return { error: 'too-many-rows', message: `${open.feed.size} rows; at most ${MAX_ROWS} without a filter` };
    }
    this.feeds.set(key, open);
    return open.feed;
  }

  knowsStream(stream: string): boolean {
    return [...this.feeds.values()].some(open => open.feed.stream === stream);
  }

  subscribed(feed: Feed): void {
    const open = this.find(feed);
    if (open !== undefined) open.subscribers++;
  }

  unsubscribed(feed: Feed): void {
    const open = this.find(feed);
    if (open === undefined) return;
    open.subscribers--;
    open.idleSinceMs = this.mono();
    if (open.subscribers === 0) open.live?.rest();
  }

  private find(feed: Feed): OpenFeed | undefined {
    return [...this.feeds.values()].find(open => open.feed === feed);
  }

  private create(topic: Topic, params: TopicParams): OpenFeed {
    const idle = { topic, params, subscribers: 0, idleSinceMs: this.mono(), gaugesAtMs: 0, live: undefined };
    if (topic === 'events') {
      const feed = new AppendFeed(topic, params.filter === undefined);
      return { ...idle, feed, refresh: () => this.topUpEvents(feed, params) };
    }
    if (topic === 'series') {
      const feed = new AppendFeed(topic, false);
      return { ...idle, feed, refresh: this.seriesRefresh(feed, params) };
    }
    const feed = new StateFeed(topic);
    const read = this.reader(topic, params);
    if (read !== undefined) {
      return {
        ...idle,
        feed,
        refresh: nothingToDo,
        live: new LiveRead(feed, read, params.asOfMs !== undefined, newsOf(topic, params, this.node)),
      };
    }
    if (topic === 'heat' || topic === 'vitals') return { ...idle, feed, refresh: this.loadRefresh(feed, topic, params) };
    const gauges = GAUGES[topic] ?? NO_GAUGES;
    return {
      ...idle,
      feed,
      refresh: (now, withGauges) => {
        if (this.picture !== undefined) feed.update(this.rowsOf(topic, params, this.picture), now, gauges, withGauges);
      },
    };
  }

  /**
   * Columns come every ten seconds and from each node by itself: nothing is built in between, and the picture of a thousand partitions
   * takes its share of the processor and no more.
   */
  private loadRefresh(feed: StateFeed, topic: 'heat' | 'vitals', params: TopicParams): (nowMs: number) => void {
    const step = (params.step ?? 10) as LoadStep;
    let shown = -1;
    let dueAtMs = Number.NEGATIVE_INFINITY;
    return nowMs => {
      const { version } = this.loads;
      if (version === shown || nowMs < dueAtMs) return;
      shown = version;
      const startedMs = performance.now();
      const self = this.picture?.input.self.nodeId ?? this.node.facts().nodeId;
      const rows = topic === 'heat' ? this.loads.heat(self, step, params) : this.loads.vitals(self, step);
      feed.update(rows, nowMs, NO_GAUGES, true);
      dueAtMs = nowMs + (performance.now() - startedMs) / VIEW_SHARE;
    };
  }

  private reader(topic: Topic, params: TopicParams): (() => Promise<ReadAnswer>) | undefined {
    const { reads } = this;
    switch (topic) {
      case 'tree':
        return () => reads.tree(params);
      case 'keys':
        return () => reads.keys(params);
      case 'key':
        return () => reads.key(params);
      case 'locks':
        return () => reads.locks(params);
      case 'lock':
        return () => reads.lock(params);
      case 'sequences':
        return () => reads.sequences(params);
      case 'sequence':
        return () => reads.sequence(params);
      default:
        return undefined;
    }
  }

  private topUpEvents(feed: AppendFeed, params: TopicParams): void {
    const source = this.node.facts().nodeId;
    for (const event of this.node.events.recent(EVENTS_AT_ONCE)) {
      if (event.seq <= feed.seq) continue;
      const item = eventItem(event, source);
      if (matches(item, params)) feed.append(item as unknown as RowValue & EventItem);
    }
  }

  private rowsOf(topic: Topic, params: TopicParams, picture: Picture): readonly KeyedRow[] {
    const { view } = picture;
    switch (topic) {
      case 'overview':
        return [{ k: 'overview', v: picture.overview }];
      case 'problems':
        return keyed(picture.problems, p => p.id, params);
      case 'nodes':
        return keyed(view.nodes.map(forDisplay), n => String(n.nodeId), params);
      case 'reach':
        return keyed(view.reach, r => `${r.from}>${r.to}`, params);
      case 'partitions':
        return keyed(view.partitions.map(roundLoad), p => String(p.partitionId), params);
      case 'partition': {
        const row = partitionDetail(view, picture.input.sources, Number(params.partitionId));
        return row === undefined ? [] : keyed([roundLoad(row)], p => String(p.partitionId), {});
      }
      case 'operations':
        return keyed(this.allOperations.all(), o => o.operationId, params);
      case 'spaces':
        return keyed(spaceRows(this.node.routing(undefined), view.selfId), s => s.keySpace, params);
      default:
        return [];
    }
  }

  welcome(session: string): string {
    const self = this.node.facts();
    const { clusterId, members } = self.membership;
    const { title, banner, bannerTone } = this.settings;
    const frame: WelcomeFrame = {
      t: 'welcome',
      protocol: PROTOCOL_VERSION,
      session,
      clusterId,
      clusterName: title ?? (clusterId === '' ? 'new cluster' : clusterId.slice(0, 8)),
      banner: banner === undefined ? null : { text: banner, tone: bannerTone ?? 'warning' },
      serverVersion: self.version,
      consoleVersion: self.version,
      node: { nodeId: self.nodeId, name: self.name, endpoint: self.endpoint },
      peers: members
        .filter(m => m.nodeId !== self.nodeId)
        .map(m => ({ nodeId: m.nodeId, name: m.name, consoleUrl: m.consoleUrl === '' ? null : m.consoleUrl })),
      user: { name: 'anyone', level: this.settings.level, auth: 'none' },
      serverTimeMs: Math.round(this.settings.clock.wallMs()),
      limits: {
        subscriptions: MAX_SUBSCRIPTIONS,
        windowRows: WINDOW_ROWS,
        allRows: MAX_ROWS,
        frameBytes: FRAME_BYTES,
        unackedFrames: UNACKED_FRAMES,
      },
      features: { actions: isAtLeast(this.settings.level, 'editor'), scripts: false, backups: false, auth: false },
      tickMs: TICK_MS,
    };
    return JSON.stringify(frame);
  }

  pong(n: number, clockMs: number): string {
    return JSON.stringify({ t: 'pong', n, clockMs, serverTimeMs: Math.round(this.settings.clock.wallMs()) });
  }

  private readonly mono = (): number => this.settings.clock.monotonicMs();
}

function nothingToDo(): void {
  // What is read on demand grows by its own reads, not with the view.
}

export function eventItem(event: NodeEvent, source: number): EventItem {
  const { seq, atMs, kind, severity, subject, text, data } = event;
  return { seq: String(seq), atMs, kind, severity, subject, text, data, source };
}

/** The worst node decides: a mean of percentiles is no percentile. */
function worst(facts: readonly NodeFacts[], gauge: string): number | null {
  const known = facts.map(f => f.gauges[gauge]).filter((v): v is number => v !== undefined && Number.isFinite(v));
  return known.length === 0 ? null : Math.max(...known);
}

// ---- rows for the wire ------------------------------------------------------------------------------------------------------

/** Three significant digits are what is drawn; sending more would only make every row differ every second. */
function round3(value: number | null): number | null {
  return value === null || value === 0 ? value : Number(value.toPrecision(3));
}

function forDisplay(row: NodeRow): NodeRow {
  return {
    ...row,
    cpu: round3(row.cpu),
    eventLoopP99Ms: round3(row.eventLoopP99Ms),
    disk: { ...row.disk, fsyncP99Ms: round3(row.disk.fsyncP99Ms) },
    clock: { ...row.clock, offsetMs: round3(row.clock.offsetMs) },
    net: { inBytesPerSec: round3(row.net.inBytesPerSec), outBytesPerSec: round3(row.net.outBytesPerSec) },
    traffic: { readsPerSec: round3(row.traffic.readsPerSec), writesPerSec: round3(row.traffic.writesPerSec) },
  };
}

function roundLoad<T extends PartitionRow>(row: T): T {
  const { load } = row;
  return { ...row, load: { ...load, readsPerSec: round3(load.readsPerSec), writesPerSec: round3(load.writesPerSec) } };
}

function keyed<T extends object>(rows: readonly T[], key: (row: T) => string, params: TopicParams): readonly KeyedRow[] {
  const kept = params.filter === undefined ? rows : rows.filter(row => matches(row, params));
  return kept.map(row => ({ k: key(row), v: row as unknown as RowValue }));
}

// ---- parameters -------------------------------------------------------------------------------------------------------------

const PARAMS: Readonly<Record<Topic, readonly string[]>> = {
  overview: [],
  problems: ['filter'],
  nodes: [],
  reach: [],
  partitions: ['filter'],
  partition: ['partitionId'],
  spaces: [],
  events: ['filter'],
  series: ['names', 'step'],
  tree: ['prefix', 'durability', 'from'],
  keys: ['prefix', 'durability', 'from', 'count', 'asOfMs'],
  key: ['key', 'durability', 'asOfMs'],
  locks: ['prefix', 'from', 'count', 'filter', 'sort', 'dir'],
  lock: ['resource', 'durability'],
  sequences: ['prefix', 'from', 'count', 'sort', 'dir'],
  sequence: ['name'],
  operations: ['filter'],
  heat: ['step', 'partitionId', 'metric', 'count'],
  vitals: ['step'],
};
const REQUIRED: Partial<Record<Topic, keyof TopicParams>> = { keys: 'prefix', key: 'key', lock: 'resource', sequence: 'name' };
const TEXTS = ['prefix', 'from', 'key', 'resource', 'name'] as const;

function checkParams(topic: string, params: unknown): { readonly error: ErrorCode; readonly message: string } | undefined {
  if (!Object.hasOwn(PARAMS, topic)) return { error: 'unknown-topic', message: `no topic ${JSON.stringify(topic).slice(0, 60)}` };
  const bad = (message: string) => ({ error: 'bad-params' as const, message });
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return bad('params is an object');
  const known = PARAMS[topic as Topic];
  const given = params as TopicParams;
  if (JSON.stringify(given).length > 4096) return bad('params are at most 4096 characters');
  const alien = Object.keys(params).find(name => !known.includes(name));
  if (alien !== undefined) return bad(`${topic} has no parameter ${alien.slice(0, 40)}`);
  if (given.filter !== undefined && !isFilter(given.filter)) return bad('filter is an object of member: [allowed values]');
  const needsPartition = topic === 'partition' || given.partitionId !== undefined;
  if (needsPartition && !Number.isSafeInteger(given.partitionId)) return bad('partitionId is an integer');
  const isLoad = topic === 'heat' || topic === 'vitals';
  if (isLoad && !Object.hasOwn(LOAD_STEPS, String(given.step ?? 10))) return bad('step is 10 or 60');
  if (given.metric !== undefined && !HEAT_METRICS.includes(given.metric)) return bad(`metric is ${HEAT_METRICS.join(', ')}`);
  if (topic === 'series' && !Object.hasOwn(SERIES_STEPS, String(given.step ?? 1))) return bad('step is 1, 10 or 60');
  if (given.names !== undefined && !isStrings(given.names)) return bad('names is a list of texts');
  const wrong = wrongRead(topic as Topic, given);
  return wrong === undefined ? undefined : bad(wrong);
}

/** What is wrong with the parameters of a topic that is read on demand. */
function wrongRead(topic: Topic, given: TopicParams): string | undefined {
  const required = REQUIRED[topic];
  if (required !== undefined && typeof given[required] !== 'string') return `${topic} needs ${required}`;
  const text = TEXTS.find(name => given[name] !== undefined && typeof given[name] !== 'string');
  if (text !== undefined) return `${text} is a text`;
  const { durability, count, asOfMs, sort, dir } = given;
  if (sort !== undefined && !isSort(topic, sort)) return `${topic} are not sorted so`;
  if (dir !== undefined && dir !== 'asc' && dir !== 'desc') return 'dir is asc or desc';
  if (durability !== undefined && durability !== 'persistent' && durability !== 'ephemeral') {
    return 'durability is persistent or ephemeral';
  }
  if (count !== undefined && !(Number.isSafeInteger(count) && count >= 1 && count <= WINDOW_ROWS)) {
    return `count must be 1 to ${WINDOW_ROWS}`;
  }
  if (asOfMs !== undefined && !(Number.isSafeInteger(asOfMs) && asOfMs > 0)) return 'asOfMs is an instant in milliseconds';
  return undefined;
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.length <= 32 && value.every(v => typeof v === 'string');
}

function isFilter(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(Array.isArray);
}

/** A row passes when each filtered member has one of the allowed values. */
function matches(row: object, params: TopicParams): boolean {
  const { filter } = params;
  if (filter === undefined) return true;
  return Object.entries(filter).every(([member, allowed]) => allowed.includes((row as RowValue)[member]));
}

function stepOf(params: TopicParams): SeriesStep {
  return Number(params.step ?? 1) as SeriesStep;
}

/** Equal parameters give equal text whatever their order, so that equal subscriptions share a feed. */
function canonical(params: TopicParams): string {
  return JSON.stringify(params, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
