import { describe, expect, it } from 'vitest';
import { checkLocks, type LockEvent } from './lock.ts';

const CLOCKS = { rate: 1.01, skewMs: 5 };

function event(
  kind: LockEvent['kind'],
  owner: string,
  from: number,
  to: number,
  token: number | undefined,
  leaseMs = 1000,
): LockEvent {
  const answer = token === undefined ? undefined : { holds: true, owner, token };
  return { lock: 'l', owner, kind, leaseMs, invokedAt: from, completedAt: to, answer };
}

function busy(owner: string, from: number, to: number): LockEvent {
  return { ...event('acquire', owner, from, to, undefined), answer: { holds: false, owner, token: 0 } };
}

function info(asker: string, from: number, to: number, owner: string, token: number): LockEvent {
  return { ...event('info', asker, from, to, undefined, 0), answer: { holds: true, owner, token } };
}

describe('histories of a lock that nothing is wrong with', () => {
  it('a lease runs out, another owner is granted the lock', () => {
    expect(
      checkLocks([event('acquire', 'a', 0, 10, 0), busy('b', 500, 510), event('acquire', 'b', 1100, 1110, 1)], CLOCKS),
    ).toBeUndefined();
  });
  it('a repeated acquire shows the same token', () => {
    expect(checkLocks([event('acquire', 'a', 0, 10, 0), event('acquire', 'a', 20, 30, 0)], CLOCKS)).toBeUndefined();
  });
  it('a release that was never answered may have worked', () => {
    const release = event('release', 'a', 20, 400, undefined);
    expect(checkLocks([event('acquire', 'a', 0, 10, 0), release, event('acquire', 'b', 50, 60, 1)], CLOCKS)).toBeUndefined();
  });
  it('an extend that was never answered may have shortened the lease', () => {
    const extend = event('extend', 'a', 20, 400, undefined, 10);
    expect(checkLocks([event('acquire', 'a', 0, 10, 0), extend, event('acquire', 'b', 50, 60, 1)], CLOCKS)).toBeUndefined();
  });
  it('a repeated acquire prolongs nothing', () => {
    const events = [event('acquire', 'a', 0, 10, 0), event('acquire', 'a', 900, 910, 0), event('acquire', 'b', 1100, 1110, 1)];
    expect(checkLocks(events, CLOCKS)).toBeUndefined();
  });
  it('an extend that was never answered may shorten the lease after a later one', () => {
    const lost = event('extend', 'a', 20, 30, undefined, 10);
    const events = [event('acquire', 'a', 0, 10, 0), lost, event('extend', 'a', 40, 50, 0), event('acquire', 'b', 100, 110, 1)];
    expect(checkLocks(events, CLOCKS)).toBeUndefined();
  });
  it('tokens of grants that overlap in time may come in any order', () => {
    expect(checkLocks([event('acquire', 'a', 0, 3000, 1), event('acquire', 'b', 10, 20, 0)], CLOCKS)).toBeUndefined();
  });
  it('clocks that were set excuse an early grant, not a token', () => {
    expect(checkLocks([event('acquire', 'a', 0, 10, 0), event('acquire', 'b', 50, 60, 1)], undefined)).toBeUndefined();
  });
});

describe('histories of a lock that something is wrong with', () => {
  it('LK1 one token, two owners', () => {
    const wrong = checkLocks([event('acquire', 'a', 0, 10, 0), event('acquire', 'b', 5000, 5010, 0)], CLOCKS);
    expect(wrong).toContain('token 0 was given twice');
  });
  it('LK1 somebody is shown as holder under a token of another', () => {
    expect(checkLocks([event('acquire', 'a', 0, 10, 3), info('x', 20, 30, 'b', 3)], CLOCKS)).toContain('given twice');
  });
  it('LK2 a token falls', () => {
    const wrong = checkLocks([event('acquire', 'a', 0, 10, 4), event('acquire', 'b', 5000, 5010, 2)], CLOCKS);
    expect(wrong).toContain('the token fell');
  });
  it('LK3 two hold at once', () => {
    const wrong = checkLocks([event('acquire', 'a', 0, 10, 0), event('acquire', 'b', 500, 510, 1)], CLOCKS);
    expect(wrong).toContain('two owners at once');
  });
  it('LK3 an extended lease counts from the extend', () => {
    const events = [event('acquire', 'a', 0, 10, 0), event('extend', 'a', 900, 910, 0), event('acquire', 'b', 1500, 1510, 1)];
    expect(checkLocks(events, CLOCKS)).toContain('two owners at once');
  });
  it('LK3 a release by somebody else ends nothing', () => {
    const events = [
      event('acquire', 'a', 0, 10, 0),
      event('release', 'b', 20, 30, undefined),
      event('acquire', 'b', 500, 510, 1),
    ];
    expect(checkLocks(events, CLOCKS)).toContain('two owners at once');
  });
});
