import { compareHlc, type Hlc } from '@kahuna/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diedAtMs, isExpiredAt, isLiveAt, isVisibleAsOf, newestAtOrBelow, readAsOf, type VersionTimes } from './visibility.ts';

const ZERO: Hlc = { n: 0, l: 0, c: 0 };
const at = (l: number, c = 0): Hlc => ({ n: 1, l, c });
const version = (revision: number, commit: Hlc, rest: Partial<VersionTimes> = {}): VersionTimes => ({
  revision,
  commit,
  expires: ZERO,
  deletedAt: ZERO,
  archived: true,
  ...rest,
});

describe('life and death', () => {
  test('keyvalues:§9 in the very millisecond of the expiry a key is still live', () => {
    expect(isExpiredAt(at(100), 100)).toBe(false);
    expect(isExpiredAt(at(100), 101)).toBe(true);
    expect(isExpiredAt(ZERO, 10 ** 15)).toBe(false);
  });

  test('a head lives until it is deleted or expired, and died at the earlier of the two', () => {
    const head = version(0, at(10), { expires: at(100), deletedAt: at(50) });
    expect(isLiveAt(head, 20)).toBe(false);
    expect(diedAtMs(head, 20)).toBe(50);
    expect(diedAtMs({ ...head, deletedAt: at(150) }, 200)).toBe(100);
    expect(diedAtMs({ ...head, deletedAt: ZERO }, 100)).toBeUndefined();
    expect(diedAtMs({ ...head, deletedAt: ZERO }, 101)).toBe(100);
    expect(isLiveAt({ ...head, deletedAt: ZERO }, 100)).toBe(true);
  });
});

describe('as-of visibility', () => {
  test('keyvalues:H10 keyvalues:H11 commit and delete count from their own timestamp on', () => {
    const deleted = version(0, at(10), { deletedAt: at(20, 5) });
    expect(isVisibleAsOf(deleted, at(20, 4), false)).toBe(true);
    expect(isVisibleAsOf(deleted, at(20, 5), false)).toBe(false);
    expect(newestAtOrBelow([deleted], at(9, 9))).toBe(-1);
    expect(newestAtOrBelow([deleted], at(10))).toBe(0);
  });

  test('keyvalues:H5 a superseded version without archive shows nothing and nothing older', () => {
    const kept = [version(0, at(10)), version(1, at(20), { archived: false }), version(2, at(30))];
    expect(readAsOf(kept, at(25))).toMatchObject({ kind: 'absent', version: { revision: 1 } });
    expect(readAsOf(kept.slice(0, 2), at(25))).toMatchObject({ kind: 'visible', version: { revision: 1 } });
    expect(readAsOf(kept, at(15))).toMatchObject({ kind: 'visible', version: { revision: 0 } });
  });

  test('keyvalues:§10.2 before the oldest kept version: never written, or pruned', () => {
    expect(readAsOf([], at(5))).toEqual({ kind: 'never-written' });
    expect(readAsOf([version(0, at(10))], at(5))).toEqual({ kind: 'never-written' });
    expect(readAsOf([version(3, at(10))], at(5))).toEqual({ kind: 'pruned' });
  });

  test('the rules agree with replaying the events of the record', () => {
    type Event = { readonly kind: 'set' | 'norev' | 'delete' | 'set-expiring'; readonly gap: number };
    const event: fc.Arbitrary<Event> = fc.record({
      kind: fc.constantFrom('set', 'norev', 'delete', 'set-expiring'),
      gap: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), fc.nat(120), (events, t) => {
        const versions: { -readonly [K in keyof VersionTimes]: VersionTimes[K] }[] = [];
        /** State after each event: what was readable in [from, next event). */
        let shown: { readonly revision: number; readonly until: number } | undefined;
        let revision = -1;
        let now = 0;
        let expected: { readonly revision: number; readonly visible: boolean } = { revision: -1, visible: false };
        const settle = (until: number): void => {
          if (t < now || t >= until) return;
          expected = { revision, visible: shown !== undefined && t <= shown.until };
        };
        for (const { kind, gap } of events) {
          settle(now + gap);
          now += gap;
          const head = versions.at(-1);
          if (kind === 'delete') {
            if (head === undefined || !isLiveAt(head, now)) continue;
            head.deletedAt = at(now);
            shown = undefined;
            continue;
          }
          revision++;
          const until = kind === 'set-expiring' ? now + 4 : Number.POSITIVE_INFINITY;
          versions.push({
            ...version(revision, at(now)),
            archived: kind !== 'norev',
            expires: kind === 'set-expiring' ? at(now + 4) : ZERO,
          });
          shown = { revision, until };
        }
        settle(Number.POSITIVE_INFINITY);
        // A superseded NOREV version loses its value afterwards, which replaying does not show.
        const lost = expected.revision >= 0 && expected.revision < revision && versions[expected.revision]?.archived === false;
        const outcome = readAsOf(versions, at(t));
        expect(outcome.kind).toBe(expected.revision < 0 ? 'never-written' : expected.visible && !lost ? 'visible' : 'absent');
        if ('version' in outcome) expect(outcome.version.revision).toBe(expected.revision);
      }),
      { numRuns: 500 },
    );
  });

  test('the search agrees with looking at every version', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ l: fc.nat(20), c: fc.nat(3) }), { maxLength: 20 }),
        fc.nat(20),
        fc.nat(3),
        (stamps, l, c) => {
          const commits = stamps.map(stamp => at(stamp.l, stamp.c)).sort(compareHlc);
          const versions = commits.map((commit, i) => version(i, commit));
          const t = at(l, c);
          expect(newestAtOrBelow(versions, t)).toBe(commits.filter(commit => compareHlc(commit, t) <= 0).length - 1);
        },
      ),
    );
  });
});
