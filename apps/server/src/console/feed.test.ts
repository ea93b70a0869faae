import { applyFrame, connectionLost, EMPTY_FEED, type FeedState, rowsOf } from '@kahuna/console/feed-reducer';
import type { DataFrame, KeyedRow, RowValue } from '@kahuna/console/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AppendFeed, type Feed, type Frames, LOG_CHANGES, RING_ITEMS, StateFeed } from './feed.ts';

const NONE: ReadonlySet<string> = new Set();

function frames(f: Frames): DataFrame[] {
  return f.bodies.map(body => JSON.parse(`{"t":"${f.kind}","id":1,${body}`) as DataFrame);
}

function row(k: string, v: RowValue): KeyedRow {
  return { k, v };
}

describe('state feed', () => {
  test('a delta holds the changed members only, new rows whole, and the keys that went', () => {
    const feed = new StateFeed('nodes');
    feed.update([row('1', { a: 1, b: { c: [1] } }), row('2', { a: 5, b: null })], 0, NONE, true);
    const from = feed.seq;
    feed.update([row('1', { a: 2, b: { c: [1] } }), row('3', { a: 9, b: null })], 0, NONE, true);
    const [delta] = frames(feed.since(from, 0) as Frames);
    expect(delta).toMatchObject({
      prev: '2',
      set: [{ k: '1', v: { a: 2 } }],
      put: [{ k: '3', v: { a: 9, b: null } }],
      del: ['2'],
    });
  });

  test('gauges wait for their turn; equal rows change nothing', () => {
    const feed = new StateFeed('nodes');
    feed.update([row('1', { cpu: 0.1, state: 'live' })], 0, new Set(['cpu']), true);
    expect(feed.update([row('1', { cpu: 0.9, state: 'live' })], 0, new Set(['cpu']), false)).toBe(false);
    expect(feed.update([row('1', { cpu: 0.9, state: 'live' })], 0, new Set(['cpu']), true)).toBe(true);
  });

  test('the log reaches back a minute or 4096 changes, whichever is less', () => {
    const feed = new StateFeed('nodes');
    feed.update([row('1', { a: 0 })], 0, NONE, true);
    feed.update([row('1', { a: 1 })], 1_000, NONE, true);
    expect(feed.since(1, 60_000)).toBeDefined();
    expect(feed.since(1, 61_001)).toBeUndefined();
    expect(feed.since(2, 61_001)).toBeDefined();
    for (let i = 0; i <= LOG_CHANGES; i++) feed.update([row('1', { a: i + 10 })], 70_000, NONE, true);
    expect(feed.since(2, 70_000)).toBeUndefined();
    expect(feed.since(feed.seq + 1, 70_000)).toBeUndefined();
  });

  test('equal requests share one text', () => {
    const feed = new StateFeed('nodes');
    feed.update([row('1', { a: 0 })], 0, NONE, true);
    feed.update([row('1', { a: 1 })], 0, NONE, true);
    expect(feed.since(1, 0)).toBe(feed.since(1, 0));
  });
});

describe('append feed', () => {
  test('what fell out of the ring is counted', () => {
    const feed = new AppendFeed('events', true);
    for (let i = 1; i <= 2 * RING_ITEMS; i++) feed.append({ seq: String(i), text: 'x' });
    const [frame] = frames(feed.since(10) as Frames);
    if (frame?.t !== 'append') throw new Error('no append');
    expect(frame.items.length + frame.missed).toBe(2 * RING_ITEMS - 10);
    expect(frame.items.at(-1)?.seq).toBe(String(2 * RING_ITEMS));
  });

  test('a feed with holes cannot count them, and asks for a snapshot instead', () => {
    const feed = new AppendFeed('events', false);
    for (let i = 1; i <= 2 * RING_ITEMS; i++) feed.append({ seq: String(i * 3), text: 'x' });
    expect(feed.since(10)).toBeUndefined();
  });
});

// ---- Protocol: random change streams through the browser's reducer (console §15) --------------------------------------------------

type Step =
  | { readonly kind: 'change'; readonly key: number; readonly member: number; readonly value: number }
  | { readonly kind: 'remove'; readonly key: number }
  | { readonly kind: 'send' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'twice' }
  | { readonly kind: 'cut'; readonly forMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('change' as const), key: fc.nat(5), member: fc.nat(3), value: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), key: fc.nat(5) }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'send' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'drop' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'twice' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), forMs: fc.constantFrom(10, 5_000, 90_000) }) },
);

/** A server with one subscription, and the browser's reducer at the other end of a link that loses, repeats and breaks. */
class Link {
  state: FeedState = EMPTY_FEED;
  private sent = 0;
  private snapshotDue = true;
  private readonly feed: Feed;

  constructor(feed: Feed) {
    this.feed = feed;
  }

  /** What the server would send now. */
  next(nowMs: number): DataFrame[] {
    if (!this.snapshotDue && this.sent === this.feed.seq) return [];
    const delta = this.snapshotDue ? undefined : this.feed.since(this.sent, nowMs);
    const out = delta ?? this.feed.snapshot('gap');
    this.snapshotDue = false;
    this.sent = out.seq;
    return frames(out);
  }

  receive(frame: DataFrame): void {
    const result = applyFrame(this.state, frame);
    this.state = result.state;
    if (result.resync !== undefined) this.snapshotDue = true;
  }

  /** The connection breaks and comes back: the browser offers what it has. */
  reconnect(nowMs: number): void {
    this.state = connectionLost(this.state);
    const seq = Number(this.state.seq);
    const resumable = this.state.stream === this.feed.stream && this.feed.since(seq, nowMs) !== undefined;
    this.snapshotDue = !resumable;
    this.sent = seq;
  }
}

test('Protocol: after drops, duplicates, parts and resumes the rows of the browser equal the rows of the server', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.boolean(), (steps, large) => {
      const feed = new StateFeed('nodes');
      const link = new Link(feed);
      const rows = new Map<string, Record<string, unknown>>();
      // Rows of 100 KB make every snapshot of more than two rows come in parts.
      const padding = large ? 'x'.repeat(100_000) : '';
      let nowMs = 0;
      const deliver = (fate: 'send' | 'drop' | 'twice') => {
        const out = link.next(nowMs);
        if (fate === 'drop') out.pop();
        for (const frame of out) {
          link.receive(frame);
          if (fate === 'twice') link.receive(frame);
        }
      };
      for (const s of steps) {
        nowMs += 50;
        if (s.kind === 'change') {
          rows.set(String(s.key), { padding, ...rows.get(String(s.key)), [`m${s.member}`]: { v: s.value } });
        } else if (s.kind === 'remove') rows.delete(String(s.key));
        else if (s.kind === 'cut') {
          nowMs += s.forMs;
          link.reconnect(nowMs);
        } else deliver(s.kind);
        feed.update(
          [...rows].map(([k, v]) => row(k, v)),
          nowMs,
          NONE,
          true,
        );
      }
      // The link is good from now on. A lost last frame shows at the next change, or at the next resume.
      link.reconnect(nowMs);
      rows.set('end', { done: true });
      feed.update(
        [...rows].map(([k, v]) => row(k, v)),
        nowMs,
        NONE,
        true,
      );
      for (let i = 0; i < 4; i++) deliver('send');
      expect(new Map(rowsOf(link.state).map(r => [r.k, r.v]))).toEqual(rows);
    }),
    { numRuns: 150 },
  );
});
