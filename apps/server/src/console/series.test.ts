import { ManualClock } from '@kahuna/base';
import { applyFrame, EMPTY_FEED, type FeedState } from '@kahuna/console/feed-reducer';
import type { DataFrame, SeriesItem } from '@kahuna/console/protocol';
import { describe, expect, test } from 'vitest';
import { AppendFeed, type Frames } from './feed.ts';
import { ConsoleHub } from './hub.ts';
import { LoadRecorder } from './load-recorder.ts';
import { ScriptedCluster } from './scripted-node.ts';
import { type Bucket, filled, SERIES_STEPS, SeriesLine, SeriesRecorder } from './series.ts';

const SECONDS_10 = 10_000;
const bucket = (second: number, reads: number | null, stepS = 1): Bucket => ({
  atMs: second * 1000,
  stepMs: stepS * 1000,
  values: { reads },
});
const told = (buckets: readonly Bucket[]) => buckets.map(b => `${b.atMs / 1000}+${b.stepMs / 1000}:${b.values['reads']}`);

describe('console:4.2 charts of a time in which nobody looked', () => {
  test('what was recorded finely stays; around it stands the coarser past', () => {
    const past = [bucket(10, 1, 10), bucket(20, 2, 10), bucket(30, 3, 10), bucket(40, 4, 10)];
    const recorded = [bucket(25, 7), bucket(26, 8), bucket(45, 9)];
    expect(told(filled(recorded, past, 1, 60_000))).toEqual(['10+10:1', '25+1:7', '26+1:8', '30+10:3', '45+1:9']);
    expect(told(filled([], past, 1, 60_000))).toEqual(told(past));
    expect(told(filled(recorded, [], 1, 60_000))).toEqual(told(recorded));
  });

  test('a value that a recorded bucket lacks is taken from the past of the same time, never one that is there', () => {
    const past = [bucket(10, 1, 10), bucket(20, 0, 10)];
    const recorded = [bucket(12, null), bucket(13, 5), bucket(21, null), bucket(31, null)];
    expect(told(filled(recorded, past, 1, 60_000))).toEqual(['12+1:1', '13+1:5', '21+1:0', '31+1:null']);
  });

  test('the window is bounded however much there is', () => {
    const recorder = new SeriesRecorder();
    for (let second = 0; second < 1000; second++) recorder.record(second * 1000, { reads: second });
    const past = Array.from({ length: 360 }, (_, i) => bucket(i * 10, 1, 10));
    const shown = filled(recorder.buckets(1), past.slice(0, 50), 1, 999_000);
    expect(shown).toHaveLength(SERIES_STEPS[1]);
    expect(shown[0]?.atMs).toBe(699_000);
  });

  test('after the clock was set back the buckets go on', () => {
    const recorder = new SeriesRecorder();
    for (const second of [100, 101, 102, 50, 51, 52]) recorder.record(second * 1000, { reads: second });
    expect(told(recorder.buckets(1))).toEqual(['50+1:50', '51+1:51']);
  });

  /** What a browser holds after each answer of a feed, as it would ask for it. */
  class Reader {
    state: FeedState = EMPTY_FEED;
    readonly kinds: string[] = [];
    private sent: number | undefined;
    private readonly feed: AppendFeed;

    constructor(feed: AppendFeed) {
      this.feed = feed;
    }

    read(): readonly string[] {
      if (this.sent !== this.feed.seq)
        this.take((this.sent === undefined ? undefined : this.feed.since(this.sent)) ?? this.feed.snapshot('new'));
      return [...this.state.rows.values()].map(row => {
        const { atMs, values } = row as unknown as SeriesItem;
        return `${atMs / 1000}:${values['reads']}`;
      });
    }

    private take({ kind, bodies, seq }: Frames): void {
      this.kinds.push(kind);
      for (const body of bodies) {
        const step = applyFrame(this.state, JSON.parse(`{"t":"${kind}","id":1,${body}`) as DataFrame);
        expect(step.resync).toBeUndefined();
        this.state = step.state;
      }
      this.sent = seq;
    }
  }

  test('new buckets are appended, old ones leave; a past that becomes known later comes as a snapshot, nothing twice', () => {
    const feed = new AppendFeed('series', false);
    const line = new SeriesLine(feed, 1, ['reads']);
    const reader = new Reader(feed);
    line.show([bucket(10, 1), bucket(11, 2)]);
    expect(reader.read()).toEqual(['10:1', '11:2']);
    line.show([bucket(11, 2), bucket(12, 3)]);
    expect(reader.read()).toEqual(['10:1', '11:2', '12:3']);
    line.show([bucket(9, 5), bucket(11, 2), bucket(12, 3)]);
    expect(reader.read()).toEqual(['9:5', '11:2', '12:3']);
    line.show([bucket(9, 5), bucket(11, 2), bucket(12, 3), bucket(13, 4)]);
    expect(reader.read()).toEqual(['9:5', '11:2', '12:3', '13:4']);
    expect(reader.kinds).toEqual(['snap', 'append', 'snap', 'append']);
  });

  test('all nodes together: traffic is a sum over those that noted something, a latency that of the slowest', () => {
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 2, 2);
    const [first, second] = [new LoadRecorder(clock), new LoadRecorder(clock)];
    cluster.member(1).gauges = { writeP99: 3 };
    cluster.member(2).gauges = { writeP99: 40, readP99: 2 };
    for (let i = 0; i < 4; i++) {
      for (const p of cluster.partitions) p.writes += 500;
      clock.advance(SECONDS_10);
      first.sample(cluster.factsOf(1));
      if (i < 3) second.sample(cluster.factsOf(2));
    }
    first.take(2, second.shareWith(1, true) ?? { last: 0, fine: {} });
    const [both, , alone] = first.traffic(10).map(each => each.values);
    // A cell is exact to three per cent.
    const near = (value: number) => expect.closeTo(value, -1.5);
    expect(both).toEqual({ readsPerSec: 0, writesPerSec: near(200), readP99Ms: expect.closeTo(2, 0), writeP99Ms: near(40) });
    expect(alone).toEqual({ readsPerSec: 0, writesPerSec: near(100), readP99Ms: null, writeP99Ms: expect.closeTo(3, 0) });
  });
});

describe('console:4.1 a console that is opened after an incident', () => {
  test('shows what every node noted before, of its peers as soon as they tell', () => {
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 3, 4);
    const hubs = [1, 2, 3].map(
      nodeId => new ConsoleHub(cluster.node(nodeId), { allowedOrigins: [], level: 'admin', clock }, () => () => undefined),
    );
    // Half an hour with a burst of writes, and nobody looks.
    for (let column = 0; column < 180; column++) {
      for (const p of cluster.partitions) p.writes += column >= 60 && column < 66 ? 10_000 : 10;
      clock.advance(SECONDS_10);
      hubs.forEach((hub, i) => {
        hub.loads.sample(cluster.factsOf(i + 1));
      });
    }
    expect(hubs.map(hub => hub.cost())).toEqual(Array(3).fill({ timers: 0, feeds: 0, gathering: false }));
    const [hub] = hubs as [ConsoleHub];
    const frames: string[] = [];
    const session = hub.connect({ send: text => frames.push(text), close: () => undefined, bufferedAmount: 0 });
    session.receive(JSON.stringify({ t: 'hello', protocol: 1, client: 'test', clockMs: 1 }), clock.monotonicMs());
    session.receive(JSON.stringify({ t: 'sub', id: 1, topic: 'series', params: { step: 10 } }), clock.monotonicMs());
    let state = EMPTY_FEED;
    for (let i = 0; i < 20; i++) {
      clock.advance(100);
      hub.step();
      for (const frame of frames.splice(0).map(text => JSON.parse(text) as DataFrame)) {
        if (frame.t !== 'snap' && frame.t !== 'append') continue;
        state = applyFrame(state, frame).state;
        session.receive(JSON.stringify({ t: 'ack', id: 1, seq: state.seq }), clock.monotonicMs());
      }
    }
    const items = [...state.rows.values()] as unknown as readonly SeriesItem[];
    const writes = items.map(item => item.values['writesPerSec'] ?? -1);
    // Six partitions, 1,000 a second each, in the minute of the burst and at no other time.
    expect(writes.filter(rate => rate > 5_000)).toHaveLength(6);
    expect(Math.max(...writes) / 6_000).toBeCloseTo(1, 1);
    expect(items.length).toBeGreaterThanOrEqual(179);
    expect(items.every((item, i) => i === 0 || item.atMs > (items[i - 1]?.atMs ?? 0))).toBe(true);
    hub.disconnect(session);
    for (const each of hubs) each.close();
  });

  test('a verdict that was so before is not said to have begun with it; one that is seen to begin is', () => {
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 3, 4);
    const hub = new ConsoleHub(cluster.node(1), { allowedOrigins: [], level: 'admin', clock }, () => () => undefined);
    const frames: string[] = [];
    cluster.kill(3);
    clock.advance(3_600_000);
    const session = hub.connect({ send: text => frames.push(text), close: () => undefined, bufferedAmount: 0 });
    const say = (message: object): void => session.receive(JSON.stringify(message), clock.monotonicMs());
    say({ t: 'hello', protocol: 1, client: 'test', clockMs: 1 });
    say({ t: 'sub', id: 1, topic: 'overview' });
    let state = EMPTY_FEED;
    const after = (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        clock.advance(1000);
        hub.step();
        for (const frame of frames.splice(0).map(text => JSON.parse(text) as DataFrame)) {
          if (frame.t === 'snap' || frame.t === 'delta') state = applyFrame(state, frame).state;
        }
        say({ t: 'ack', id: 1, seq: state.seq });
      }
      return state.rows.get('overview');
    };
    expect(after(10)).toMatchObject({ verdict: 'degraded', sinceAtLeast: true });
    cluster.revive(3);
    expect(after(10)).toMatchObject({ verdict: 'healthy', sinceAtLeast: false });
    hub.disconnect(session);
    hub.close();
  });
});
