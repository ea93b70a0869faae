import { Durability, EphemeralTable, HeadCache, LockResponseType } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { emptyResult } from '../request.ts';
import type { Sequencer } from '../sequencer.ts';
import { GET, SET, surroundings } from './rooms.test-support.ts';
import { TermMemory } from './term-memory.ts';

const cache = new HeadCache({ maxEntries: 10, maxBytes: 10_000 });
const ephemeral = { durability: Durability.Ephemeral } as const;

function memoryOf() {
  const made: string[] = [];
  const dropped: string[] = [];
  const room = surroundings({
    host: {
      createEphemeralTable: () => {
        made.push('table');
        return new EphemeralTable({ partitionId: 2, poolSize: 1, cache });
      },
      createSequencer: () => {
        made.push('sequencer');
        return { take: () => emptyResult(0), drop: () => dropped.push('sequencer') } as unknown as Sequencer;
      },
    },
  });
  return { ...room, memory: new TermMemory(room.replica, room.host), made, dropped };
}

test('M1: each part is made when it is first needed, and a term begins with nothing of the last one', () => {
  const { memory, made, dropped, request } = memoryOf();
  expect(made).toEqual([]);
  memory.execute(request({ ...SET, ...ephemeral }));
  const before = memory.execute(request({ ...GET, ...ephemeral }));
  memory.takeValues(request());
  memory.takeValues(request());
  expect(made).toEqual(['table', 'sequencer']);
  memory.drop();
  expect(dropped).toEqual(['sequencer']);
  expect(memory.execute(request({ ...GET, ...ephemeral })).type).not.toBe(before.type);
  memory.takeValues(request());
  expect(made).toEqual(['table', 'sequencer', 'table', 'sequencer']);
});

test('M1: who was told that a lock is busy is forgotten with the term; other answers are not noted', () => {
  const { memory, request, time } = memoryOf();
  const owner = new Uint8Array([7]);
  const acquire = { kind: 'lock-acquire', key: 'press', owner, expiresMs: 1000, durability: Durability.Persistent } as const;
  const row = {
    name: 'press',
    durability: Durability.Persistent,
    owner: new Uint8Array([1]),
    fencingToken: 1,
    expiresMs: time.ms,
  } as unknown as Parameters<typeof memory.withContenders>[0];
  memory.noteRefusal(request(acquire), emptyResult(LockResponseType.Locked));
  expect(memory.withContenders(row)).toBe(row);
  memory.noteRefusal(request(acquire), emptyResult(LockResponseType.Busy));
  expect(memory.withContenders(row)).toMatchObject({ contenders: [{ owner, asks: 1 }] });
  memory.drop();
  expect(memory.withContenders(row)).toBe(row);
});
