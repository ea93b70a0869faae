import { ByteWriter, type Hlc } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { Durability, type LockOperation, LockResponseType } from './index.ts';
import { evaluateLock, LOCK_ROWS, type Lock, type LockMoment } from './locks.ts';

const A = new Uint8Array([1]);
const B = new Uint8Array([2]);
const SKEW_MS = 500;

function operation(kind: LockOperation['kind'], owner: Uint8Array, expiresMs = 100): LockOperation {
  return { kind, key: 'door', owner, expiresMs, durability: Durability.Persistent };
}

function at(ms: number, term = 1): LockMoment {
  const now: Hlc = { n: 1, l: ms, c: 0 };
  return { now, term, skewMs: SKEW_MS, tokenFloor: -1 };
}

/** Held by A from 1000 to 1100 in term 1, with token 0. */
const HELD = evaluateLock(undefined, operation('lock-acquire', A), at(1000)).lock as Lock;

const typeOf = (lock: Lock | undefined, kind: LockOperation['kind'], owner: Uint8Array, moment: LockMoment): number =>
  evaluateLock(lock, operation(kind, owner), moment).answer.type;

/** The lock as it comes back from the engine. */
function afterStorage(lock: Lock): Lock {
  const writer = new ByteWriter();
  LOCK_ROWS.write(writer, lock);
  return LOCK_ROWS.decode(writer.finish());
}

describe('a lease at its end (locks §4)', () => {
  test('in the very millisecond of its end it is held, one later it is not', () => {
    expect(typeOf(HELD, 'lock-acquire', B, at(1100))).toBe(LockResponseType.Busy);
    expect(typeOf(HELD, 'lock-acquire', B, at(1101))).toBe(LockResponseType.Locked);
  });

  test('locks:F11 in a later term it is honoured for the skew of clocks', () => {
    expect(typeOf(HELD, 'lock-acquire', B, at(1100 + SKEW_MS, 2))).toBe(LockResponseType.Busy);
    expect(typeOf(HELD, 'lock-extend', A, at(1100 + SKEW_MS, 2))).toBe(LockResponseType.Extended);
    expect(typeOf(HELD, 'lock-acquire', B, at(1101 + SKEW_MS, 2))).toBe(LockResponseType.Locked);
  });

  test('an extend makes it one of the later term', () => {
    const extended = evaluateLock(HELD, operation('lock-extend', A), at(1050, 2)).lock as Lock;
    expect(typeOf(extended, 'lock-acquire', B, at(1151, 2))).toBe(LockResponseType.Locked);
  });

  test.each(['lock-info', 'lock-extend'] as const)('L2: what %s said to be over is over in every term', kind => {
    const { answer, lock } = evaluateLock(HELD, operation(kind, A), at(1101));
    expect(answer.type).toBe(LockResponseType.LockDoesNotExist);
    for (const [asked, owner] of [['lock-info', A] as const, ['lock-extend', A] as const]) {
      expect(typeOf(lock, asked, owner, at(1102, 2))).toBe(LockResponseType.LockDoesNotExist);
    }
    expect(typeOf(lock, 'lock-acquire', B, at(1102, 2))).toBe(LockResponseType.Locked);
    // The owner may still release it, and its bytes survive the engine.
    const stored = afterStorage(lock as Lock);
    expect(stored).toEqual(lock);
    expect(typeOf(stored, 'lock-release', A, at(1102, 2))).toBe(LockResponseType.Unlocked);
  });

  test('beyond the allowance every leader agrees: nothing needs to be remembered', () => {
    expect(evaluateLock(HELD, operation('lock-info', A), at(1101 + SKEW_MS)).lock).toBe(HELD);
  });
});

test('L1: a released lock keeps its token', () => {
  const released = evaluateLock(HELD, operation('lock-release', A), at(1001)).lock as Lock;
  expect(released).toMatchObject({ owner: undefined, token: 0, expires: { l: 0 } });
  const stored = afterStorage(released);
  expect(evaluateLock(stored, operation('lock-acquire', B), at(1002)).answer.revision).toBe(1);
});
