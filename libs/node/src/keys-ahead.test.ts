import { expect, test } from 'vitest';
import { KeysAhead } from './keys-ahead.ts';

type Step = (keys: KeysAhead) => void;
const queue: Step = keys => keys.add('k');
const take: Step = keys => keys.queueTaken();
/** By index; another one at index 5 is of a later leadership. */
const PROPOSALS = new Map([4, 5, 6].map(index => [index, { index, term: 1 }]));
const LATER = { index: 5, term: 3 };
const proposal = (index: number): object => PROPOSALS.get(index) as object;
const propose =
  (index: number): Step =>
  keys =>
    keys.proposedIn('k', proposal(index));
const decide =
  (index: number): Step =>
  keys =>
    keys.decided('k', proposal(index));
const proposeLater: Step = keys => keys.proposedIn('k', LATER);
const decideLater: Step = keys => keys.decided('k', LATER);

const CASES: [string, Step[], boolean][] = [
  ['nothing was asked', [], false],
  ['a command waits', [queue], true],
  ['it was refused as it was taken', [queue, take], false],
  ['it is proposed', [queue, take, propose(5)], true],
  ['it is decided', [queue, take, propose(5), decide(5)], false],
  ['an entry without it is decided', [queue, take, propose(5), decide(4)], true],
  ['the first of two entries is decided', [propose(5), propose(6), decide(5)], true],
  ['both are', [propose(5), propose(6), decide(5), decide(6)], false],
  ['one of an earlier leadership is lost, which had the same index', [propose(5), proposeLater, decide(5)], true],
  ['and the later one is decided', [propose(5), proposeLater, decide(5), decideLater], false],
  ['another command waits behind the decided one', [queue, take, propose(5), queue, decide(5)], true],
  ['another one was refused behind one under way', [propose(5), queue, take], true],
  ['the log was replaced', [queue, propose(5), keys => keys.clear()], false],
  ['another key is decided', [propose(5), keys => keys.decided('j', proposal(5))], true],
];

for (const [what, steps, ahead] of CASES) {
  test(`${ahead ? 'a read must not overtake' : 'nothing is ahead'}: ${what}`, () => {
    const keys = new KeysAhead();
    for (const step of steps) step(keys);
    expect(keys.has('k')).toBe(ahead);
    expect(keys.has('j')).toBe(false);
  });
}
