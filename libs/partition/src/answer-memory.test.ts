import type { Hlc } from '@kahuna/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnswerMemory } from './answer-memory.ts';
import { result } from './evaluate.ts';
import { type OperationId, ResponseType } from './index.ts';

const at = (l: number): Hlc => ({ n: 1, l, c: 0 });

test('the last answers are found by identity, older ones are unknown, and only what was received later is surely new', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 0, max: 700 }),
      fc.boolean(),
      (capacity, count, sameNumbers) => {
        const memory = new AnswerMemory(capacity, at(10));
        const idOf = (i: number): OperationId =>
          sameNumbers ? { node: 1 + (i % 3), boot: Math.floor(i / 3), number: 7 } : { node: 1, boot: 2 ** 40, number: i * 64 };
        const answers = Array.from({ length: count }, (_, i) => {
          const answer = result(ResponseType.Set, i);
          memory.add(idOf(i), at(100 + i), answer);
          return answer;
        });
        const firstKept = Math.max(0, count - capacity);
        expect(memory.size).toBe(count - firstKept);
        for (let i = 0; i < count; i++) {
          expect(memory.find(idOf(i), at(99 + i))).toBe(i >= firstKept ? answers[i] : 'unknown');
        }
        const completeAbove = firstKept === 0 ? 10 : 99 + firstKept;
        const stranger = { node: 9, boot: 9, number: 9 };
        expect(memory.find(stranger, at(completeAbove))).toBeUndefined();
        expect(memory.find(stranger, at(completeAbove - 1))).toBe('unknown');
      },
    ),
    { numRuns: 100 },
  );
});
