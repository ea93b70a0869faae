import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Unread, type UnreadOfStream } from './unread.ts';

const BOUND = 1000;

let nowMs = 0;
let unread: Unread;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] });
  nowMs = 0;
  unread = new Unread({ monotonicMs: () => nowMs }, BOUND);
});
afterEach(() => vi.useRealTimers());

async function pass(ms: number, meanwhile: () => void = () => undefined): Promise<void> {
  for (let i = 0; i < ms; i += 100) {
    nowMs += 100;
    await vi.advanceTimersByTimeAsync(100);
    meanwhile();
  }
}

class Stream {
  isCut = false;
  readonly account: UnreadOfStream = unread.of(() => {
    this.isCut = true;
  });
}

test('many who hold little each are bounded together, and who reads is not cut off, however much is on its way to him', async () => {
  const deaf = Array.from({ length: 40 }, () => new Stream());
  const quick = new Stream();
  quick.account.add(500);
  for (const { account } of deaf) account.add(25);
  expect([unread.isFull, unread.hasRoomFor(1)]).toEqual([true, false]);
  await pass(3000, () => {
    quick.account.remove(500);
    quick.account.add(500);
  });
  expect(unread.isFull).toBe(false);
  expect(quick.isCut).toBe(false);
  // As many as it takes, so that not each message has to look for another.
  expect(deaf.filter(({ isCut }) => isCut)).toHaveLength(30);
  expect(unread.cuts).toBe(30);
});

test('the greedy pay, and not who reads slowly and holds little', async () => {
  const slow = new Stream();
  slow.account.add(10);
  const greedy = [new Stream(), new Stream(), new Stream()];
  for (const { account } of greedy) account.add(400);
  await pass(2000);
  expect([slow, ...greedy].map(({ isCut }) => isCut)).toEqual([false, true, true, false]);
});

test('nobody is cut off below the bound, nor for a pause of this process', async () => {
  const silent = new Stream();
  silent.account.add(BOUND);
  await pass(10_000);
  expect(silent.isCut).toBe(false);
  const quick = new Stream();
  quick.account.add(600);
  // For five seconds nothing ran here; what the sockets had taken meanwhile is told before anybody is judged.
  nowMs += 5000;
  setImmediate(() => {
    quick.account.remove(600);
    quick.account.add(600);
  });
  await vi.advanceTimersByTimeAsync(1100);
  expect([silent.isCut, quick.isCut]).toEqual([true, false]);
});

test('a large message, which counts as taken when all of it is, is given the time that it takes', async () => {
  const mib = 1024 * 1024;
  unread = new Unread({ monotonicMs: () => nowMs }, 32 * mib);
  const [slow, deaf] = [new Stream(), new Stream()];
  deaf.account.add(12 * mib);
  slow.account.add(24 * mib);
  await pass(3500);
  expect([slow.isCut, deaf.isCut]).toEqual([false, false]);
  await pass(2000);
  expect([slow.isCut, deaf.isCut]).toEqual([false, true]);
});

test('what is taken or gone makes room, once', () => {
  const [one, other] = [new Stream(), new Stream()];
  one.account.add(600);
  other.account.add(400);
  expect(unread.hasRoomFor(1)).toBe(false);
  one.account.remove(200);
  expect([unread.hasRoomFor(200), unread.hasRoomFor(201)]).toEqual([true, false]);
  one.account.close();
  one.account.remove(400);
  one.account.add(400);
  one.account.close();
  expect([unread.hasRoomFor(600), unread.hasRoomFor(601)]).toEqual([true, false]);
});
