import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, test } from 'vitest';
import { countdownText } from './countdown-text.ts';
import { ReadProblem } from './read-problem.tsx';

afterEach(cleanup);

const said = (): string => screen.queryByRole('status')?.textContent ?? '';

describe('console:C1 a read that failed never looks like none', () => {
  test('with rows on the screen they are the last ones that were read', () => {
    render(<ReadProblem window={{ next: null, missing: [], problem: 'no leader' }} hasRows />);
    expect(said()).toContain('These are the last rows that were read: no leader.');
  });

  test('without rows it says that nothing could be read', () => {
    render(<ReadProblem window={{ next: null, missing: [], problem: 'no leader' }} hasRows={false} />);
    expect(said()).toContain('This could not be read: no leader.');
  });

  test('missing partitions are named, and a whole answer says nothing', () => {
    render(<ReadProblem window={{ next: null, missing: [3, 4], problem: null }} hasRows />);
    expect(said()).toContain('partitions 3, 4 did not answer');
    cleanup();
    render(<ReadProblem window={{ next: null, missing: [], problem: null }} hasRows />);
    expect(said()).toBe('');
  });
});

describe('console:§4.2 countdowns', () => {
  test.each([
    [184_000, '3 min 4 s'],
    [10_400, '10 s'],
    [9_960, '9.9 s'],
    [40, '0.0 s'],
    [-5, '0.0 s'],
  ])('%d ms left reads %s', (ms, text) => {
    expect(countdownText(ms)).toBe(text);
  });
});
