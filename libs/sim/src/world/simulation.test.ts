import { expect, test } from 'vitest';
import { Simulation } from './simulation.ts';

test('what an event has settled goes on to its end before the next event, however long the chain of promises', async () => {
  const simulation = new Simulation(1);
  const seen: string[] = [];
  const chain = async (name: string): Promise<void> => {
    for (let i = 0; i < 200; i++) await undefined;
    seen.push(`${name} has ended`);
  };
  let settle = (): void => undefined;
  const settled = new Promise<void>(resolve => {
    settle = resolve;
  });
  void settled.then(() => chain('what waited'));
  void chain('what was under way');
  simulation.after(1, () => seen.push('first'));
  simulation.after(2, () => {
    seen.push('second');
    void chain('what it began');
  });
  simulation.after(3, () => settle());
  simulation.after(4, () => seen.push('last'));
  await simulation.runWithPromises(10);
  expect(seen).toEqual([
    'first',
    'what was under way has ended',
    'second',
    'what it began has ended',
    'what waited has ended',
    'last',
  ]);
});
