import { HLC_ZERO, Rng } from '@kahuna/base';
import type { HistoryCommand } from '@kahuna/partition';
import { expect, test } from 'vitest';
import type { Dispatcher } from './dispatcher.ts';
import { Holds } from './holds.ts';
import type { NodeInternals } from './internals.ts';

/** The id that a process gives to its first hold. */
function firstHoldId(storageId: number, boot: number): string {
  let id = '';
  const submitCommand = (command: HistoryCommand): void => {
    if (command.kind === 'hold-acquire') id = command.newHoldId;
  };
  const node = { options: { storageId, boot } } as unknown as NodeInternals;
  const holds = new Holds(node, { submitCommand } as unknown as Dispatcher, new Rng(5));
  holds.ask({ kind: 'hold-acquire', holderId: 'h', timestamp: { ...HLC_ZERO, l: 1 }, leaseMs: 1000 }, 0, () => undefined);
  return id;
}

test('keyvalues §10.3: a hold has an id of its own, also where the random numbers of processes are the same', () => {
  const ids = [
    [2 ** 52, 1],
    [2 ** 52, 2],
    [2 ** 52, Date.UTC(2030, 0)],
    [7, 1],
  ].map(([storageId, boot]) => firstHoldId(storageId as number, boot as number));
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(ids).size).toBe(ids.length);
});
