import { describe, expect, it } from 'vitest';
import { checkWatches, type ToldChange, type WatchedWrite, type WatcherHistory, type WatchSession } from './watch.ts';

const stamp = (l: number) => ({ n: 1, l, c: 0 });

function set(key: string, revision: number, l: number, changes: Partial<ToldChange> = {}): ToldChange {
  const partition = key.startsWith('a') ? 2 : 3;
  return {
    kind: 'set',
    key,
    value: `${key}=${revision}`,
    revision,
    stamp: stamp(l),
    expires: 0,
    partition,
    initial: false,
    ...changes,
  };
}
const remove = (key: string, revision: number, l: number): ToldChange => ({
  ...set(key, revision, l),
  kind: 'delete',
  value: '',
});

const expire = (key: string, revision: number, l: number): ToldChange => ({ ...remove(key, revision, l), kind: 'expire' });

/** The write that a told change stems from, acknowledged. */
function write({ kind, key, value, revision, stamp: at }: ToldChange): WatchedWrite {
  return { kind: kind === 'set' ? 'set' : 'delete', key, value, invokedAt: at.l, answer: { revision, stamp: at } };
}

function watcher(...sessions: WatchSession[]): WatcherHistory {
  return { name: 'w', startedAt: 0, watches: key => key.length === 2, sessions };
}
const session = (events: readonly ToldChange[], resumedAt = 0): WatchSession => ({ resumedAt, events });

const HISTORY = [set('a1', 0, 10), set('b1', 0, 11), set('a1', 1, 12), remove('a1', 1, 13), set('a2', 0, 14), set('a1', 2, 15)];
const WRITES = HISTORY.map(write);

describe('watches that nothing is wrong with', () => {
  it('one session', () => {
    expect(checkWatches(WRITES, [watcher(session(HISTORY))])).toBeUndefined();
  });
  it('partitions come in any order among each other', () => {
    const order = [1, 0, 2, 3, 4, 5].map(i => HISTORY[i] as ToldChange);
    expect(checkWatches(WRITES, [watcher(session(order))])).toBeUndefined();
  });
  it('what followed the position is told again', () => {
    const first = session(HISTORY.slice(0, 4));
    expect(checkWatches(WRITES, [watcher(first, session(HISTORY.slice(2), 2))])).toBeUndefined();
  });
  it('what a session did not come to tell again, the next one does', () => {
    const sessions = [session(HISTORY.slice(0, 5)), session(HISTORY.slice(2, 3), 2), session(HISTORY.slice(2), 2)];
    expect(checkWatches(WRITES, [watcher(...sessions)])).toBeUndefined();
  });
  it('an expiry ends a version, and the next set goes on', () => {
    const told = [set('a1', 0, 10, { expires: 12 }), expire('a1', 0, 12), set('a1', 1, 13)];
    const writes = [told[0], told[2]].map(event => write(event as ToldChange));
    expect(checkWatches(writes, [watcher(session(told))])).toBeUndefined();
  });
  it('a write of unknown outcome may be told or not', () => {
    const unknown = WRITES.map((known, i) => (i === 4 ? { ...known, answer: undefined } : known));
    expect(checkWatches(unknown, [watcher(session(HISTORY))])).toBeUndefined();
    expect(checkWatches(unknown, [watcher(session(HISTORY.toSpliced(4, 1)))])).toBeUndefined();
  });
  it('a watcher that began later need not tell what was before', () => {
    const late = { ...watcher(session(HISTORY.slice(3))), startedAt: 13 };
    expect(checkWatches(WRITES, [late])).toBeUndefined();
  });
});

describe('watches that something is wrong with', () => {
  const wrong = (...events: ToldChange[]): string | undefined => checkWatches(WRITES, [watcher(session(events))]);

  it('WA1 an older change comes later', () => {
    expect(wrong(...[0, 1, 2, 4, 3, 5].map(i => HISTORY[i] as ToldChange))).toContain('WA1');
  });
  it('WA2 a change is told twice', () => {
    expect(wrong(...HISTORY, { ...(HISTORY[5] as ToldChange), stamp: stamp(16) })).toContain('WA2');
  });
  it('WA2 a change is left out', () => {
    expect(wrong(...HISTORY.toSpliced(2, 2))).toContain('WA2');
  });
  it('WA2 a key is deleted that is not there', () => {
    expect(wrong(...HISTORY.toSpliced(4, 0, remove('a1', 1, 14)))).toContain('WA2');
  });
  it('WA2 an expiry is left out, or told at another time', () => {
    const [first, second] = [set('a1', 0, 10, { expires: 12 }), set('a1', 1, 14)];
    const writes = [first, second].map(write);
    const told = (...events: ToldChange[]): string | undefined => checkWatches(writes, [watcher(session(events))]);
    expect(told(first, second)).toContain('WA2');
    expect(told(first, remove('a1', 0, 13), second)).toContain('WA2');
    expect(told(first, expire('a1', 0, 13), second)).toContain('WA2');
  });
  it('WA3 what nobody wrote', () => {
    expect(wrong(...HISTORY.with(4, { ...(HISTORY[4] as ToldChange), value: 'x' }))).toContain('WA3');
  });
  it('WA3 another stamp than was acknowledged', () => {
    expect(wrong(...HISTORY.with(5, set('a1', 2, 16)))).toContain('WA3');
  });
  it('WA3 another key than was asked for', () => {
    expect(wrong(...HISTORY, set('a1/x', 0, 20))).toContain('WA3');
  });
  it('WA4 the last change of a key is left out', () => {
    expect(wrong(...HISTORY.slice(0, 5))).toContain('WA4');
    expect(wrong(...HISTORY.toSpliced(4, 1))).toContain('WA4');
  });
  it('WA5 a session goes on behind a gap', () => {
    const sessions = [session(HISTORY.slice(0, 4)), session(HISTORY.slice(3), 2)];
    expect(checkWatches(WRITES, [watcher(...sessions)])).toContain('WA5');
  });
  it('WA5 a session tells something else than before', () => {
    const sessions = [session(HISTORY.slice(0, 4)), session(HISTORY.slice(2).with(1, set('a1', 2, 13)), 2)];
    expect(checkWatches(WRITES, [watcher(...sessions)])).toContain('WA5');
  });
  it('WA5 what was told before a break is never told again', () => {
    const told = [...HISTORY, remove('b1', 0, 20)];
    expect(checkWatches(WRITES, [watcher(session(told), session(HISTORY, 0))])).toContain('WA5');
  });
});
