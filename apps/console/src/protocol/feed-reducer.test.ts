import { describe, expect, test } from 'vitest';
import { applyFrame, connectionLost, EMPTY_FEED, type FeedState } from './feed-reducer.ts';
import type { DeltaFrame, SnapFrame } from './messages.ts';

function snap(change: Partial<SnapFrame> = {}): SnapFrame {
  return {
    t: 'snap',
    id: 1,
    topic: 'nodes',
    stream: 'n-1',
    seq: '5',
    part: 1,
    of: 1,
    total: 2,
    reason: 'new',
    rows: [
      { k: '1', v: { name: 'a', leads: 1 } },
      { k: '2', v: { name: 'b', leads: 2 } },
    ],
    ...change,
  };
}

function delta(prev: string, seq: string, change: Partial<DeltaFrame> = {}): DeltaFrame {
  return { t: 'delta', id: 1, prev, seq, at: 0, ...change };
}

const ready: FeedState = applyFrame(EMPTY_FEED, snap()).state;

describe('feed reducer', () => {
  test('R1: a delta merges members shallowly and moves the sequence on', () => {
    const { state, changed, membership } = applyFrame(ready, delta('5', '6', { set: [{ k: '1', v: { leads: 9 } }] }));
    expect(state.rows.get('1')).toEqual({ name: 'a', leads: 9 });
    expect([state.seq, changed, membership]).toEqual(['6', ['1'], false]);
  });

  test('R1: a gap asks for one resync and leaves the rows alone until a snapshot comes', () => {
    const gap = applyFrame(ready, delta('7', '8', { del: ['1'] }));
    expect(gap.resync).toBe('gap');
    const next = applyFrame(gap.state, delta('8', '9', { del: ['2'] }));
    expect(next.resync).toBeUndefined();
    expect(next.state.rows).toEqual(ready.rows);
    expect(applyFrame(next.state, snap({ seq: '9' })).state.phase).toBe('ready');
  });

  test('R2: parts show nothing until the last one is there', () => {
    const first = applyFrame(ready, snap({ stream: 'n-2', part: 1, of: 2, rows: [{ k: '7', v: {} }] }));
    expect(first.state.rows).toEqual(ready.rows);
    const second = applyFrame(first.state, snap({ stream: 'n-2', part: 2, of: 2, rows: [{ k: '8', v: {} }] }));
    expect([...second.state.rows.keys()]).toEqual(['7', '8']);
    expect(second.state.stream).toBe('n-2');
  });

  test('R2: a part that does not continue what is under way is refused', () => {
    const first = applyFrame(ready, snap({ stream: 'n-2', part: 1, of: 3 }));
    expect(applyFrame(first.state, snap({ stream: 'n-2', part: 3, of: 3 })).resync).toBe('snapshot part missing');
  });

  test('R5: rows stand in the order the server names, new ones too, and none is lost to a wrong one', () => {
    const put = [{ k: '0', v: {} }];
    const first = applyFrame(ready, delta('5', '6', { put, order: ['0', '2', '1'] }));
    expect([[...first.state.rows.keys()], first.membership]).toEqual([['0', '2', '1'], true]);
    const second = applyFrame(first.state, delta('6', '7', { order: ['1', 'gone'] }));
    expect([...second.state.rows.keys()]).toEqual(['1', '0', '2']);
  });

  test('what the server says about a window stays until it says something else', () => {
    const window = { next: 'b', missing: [], problem: null };
    const first = applyFrame(EMPTY_FEED, snap({ window })).state;
    const second = applyFrame(first, delta('5', '6', { set: [{ k: '1', v: { leads: 3 } }] })).state;
    expect(second.window).toBe(first.window);
    const failed = applyFrame(second, delta('6', '7', { window: { ...window, problem: 'no leader' } })).state;
    expect([failed.window?.problem, failed.rows.size]).toEqual(['no leader', 2]);
  });

  test('R3: applying a frame twice changes nothing more', () => {
    const frame = delta('5', '6', { del: ['1'], put: [{ k: '3', v: {} }] });
    const once = applyFrame(ready, frame).state;
    const twice = applyFrame(once, frame).state;
    expect(twice.rows).toEqual(once.rows);
  });

  test('R4: an append feed keeps the newest items and adds up what was missed', () => {
    const small = { ...applyFrame(EMPTY_FEED, snap({ rows: [], seq: '0' })).state, capacity: 2 };
    const items = [{ seq: '1' }, { seq: '2' }, { seq: '3' }];
    const { state } = applyFrame(small, { t: 'append', id: 1, prev: '0', seq: '3', items, missed: 4 });
    expect([[...state.rows.keys()], state.missed]).toEqual([['2', '3'], 4]);
  });

  test('a lost connection keeps the rows and forgets half a snapshot', () => {
    const half = applyFrame(ready, snap({ stream: 'n-2', part: 1, of: 2 })).state;
    const kept = connectionLost(half);
    expect([kept.pending, kept.phase, kept.rows]).toEqual([undefined, 'ready', ready.rows]);
  });
});
