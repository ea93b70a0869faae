import { Rng } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { type SnapshotMessage, SnapshotReceiver, SnapshotSender, type SnapshotTransferLimits } from './snapshot-transfer.ts';

const LIMITS: SnapshotTransferLimits = { windowChunks: 4, windowBytes: 100, retryTicks: 3, timeoutTicks: 60 };
const HEADER = new Uint8Array([7, 7]);

/** Chunk i holds i + 1 bytes of value i. */
function chunk(i: number): Uint8Array {
  return new Uint8Array(i + 1).fill(i);
}

function begin(transfer = 1): { sender: SnapshotSender; receiver: SnapshotReceiver } {
  const sender = new SnapshotSender(transfer, HEADER, LIMITS);
  const [opening] = sender.takeMessages();
  if (opening?.kind !== 'begin') throw new Error('a sender begins');
  return { sender, receiver: new SnapshotReceiver(opening, 5, LIMITS) };
}

function supplyAll(sender: SnapshotSender, count: number): void {
  for (let wanted = sender.wantedChunk(); wanted !== undefined; wanted = sender.wantedChunk()) {
    sender.supply(wanted, chunk(wanted), wanted === count - 1);
  }
}

function consumeAll(receiver: SnapshotReceiver, into: number[]): void {
  for (let taken = receiver.takeChunk(); taken !== undefined; taken = receiver.takeChunk()) {
    into.push(taken.number);
    receiver.consumed(taken.number);
  }
}

function exchange(sender: SnapshotSender, receiver: SnapshotReceiver, consumed: number[], chunks: number): void {
  for (let i = 0; i < 100 && !sender.finished; i++) {
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, chunks);
    for (const message of sender.takeMessages()) receiver.step(message);
    consumeAll(receiver, consumed);
  }
}

describe('snapshot transfer', () => {
  test('moves every chunk once and in order, and both sides know when it is done', () => {
    const { sender, receiver } = begin();
    const consumed: number[] = [];
    exchange(sender, receiver, consumed, 11);
    expect(consumed).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([sender.state, receiver.state]).toEqual(['done', 'complete']);
    expect(receiver.header).toEqual(HEADER);
  });

  test('reads no chunk before the receiver has answered, and no more than a window ahead of it', () => {
    const { sender, receiver } = begin();
    expect(sender.wantedChunk()).toBeUndefined();
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, 100);
    expect(sender.takeMessages().map(m => (m.kind === 'chunk' ? m.number : m.kind))).toEqual([0, 1, 2, 3]);
    expect(sender.wantedChunk()).toBeUndefined();
  });

  test('bytes under way are bounded too', () => {
    const { sender, receiver } = begin();
    for (const message of receiver.takeMessages()) sender.step(message);
    sender.supply(0, new Uint8Array(150), false);
    expect(sender.wantedChunk()).toBeUndefined();
    expect(sender.bufferedBytes).toBe(150);
  });

  test('acknowledges only what the host has consumed', () => {
    const { sender, receiver } = begin();
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, 9);
    for (const message of sender.takeMessages()) receiver.step(message);
    expect(receiver.takeMessages()).toEqual([]);
    expect(receiver.takeChunk()?.number).toBe(0);
    expect(receiver.takeChunk()).toBeUndefined();
    receiver.consumed(0);
    expect(receiver.takeMessages()).toEqual([{ kind: 'ack', transfer: 1, receiver: 5, next: 1 }]);
  });

  test('reordered and repeated chunks come out in order, each once', () => {
    const { sender, receiver } = begin();
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, 4);
    const messages = sender.takeMessages();
    const consumed: number[] = [];
    for (const message of [...messages].reverse()) receiver.step(message);
    consumeAll(receiver, consumed);
    for (const message of messages) receiver.step(message);
    consumeAll(receiver, consumed);
    expect(consumed).toEqual([0, 1, 2, 3]);
    expect(receiver.takeMessages()).toEqual([{ kind: 'ack', transfer: 1, receiver: 5, next: 4 }]);
  });

  test('after a broken link it goes on behind the last acknowledged chunk', () => {
    const { sender, receiver } = begin();
    const consumed: number[] = [];
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, 6);
    const [first, second] = sender.takeMessages() as [SnapshotMessage, SnapshotMessage];
    receiver.step(first);
    receiver.step(second);
    consumeAll(receiver, consumed);
    for (const message of receiver.takeMessages()) sender.step(message);
    sender.takeMessages();
    sender.linkReset();
    expect(sender.takeMessages().map(m => (m.kind === 'chunk' ? m.number : m.kind))).toEqual(['begin', 2, 3]);
    sender.linkReset();
    exchange(sender, receiver, consumed, 6);
    expect(consumed).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a receiver that began anew ends the transfer, because its chunks are gone', () => {
    const { sender, receiver } = begin();
    for (const message of receiver.takeMessages()) sender.step(message);
    supplyAll(sender, 9);
    sender.step({ kind: 'ack', transfer: 1, receiver: 5, next: 2 });
    sender.step({ kind: 'ack', transfer: 1, receiver: 5, next: 0 });
    expect(sender.state).toBe('streaming');
    sender.step({ kind: 'ack', transfer: 1, receiver: 6, next: 0 });
    expect([sender.state, sender.abortReason]).toEqual(['aborted', 'receiver began anew']);
  });

  test('a silent peer is asked again, and given up after the timeout', () => {
    const { sender } = begin();
    const asked: string[] = [];
    for (let i = 0; i < LIMITS.timeoutTicks; i++) {
      sender.tick();
      asked.push(...sender.takeMessages().map(m => m.kind));
    }
    expect(asked.filter(kind => kind === 'begin').length).toBe(Math.floor((LIMITS.timeoutTicks - 1) / LIMITS.retryTicks));
    expect(asked.at(-1)).toBe('abort');
    expect([sender.state, sender.abortReason]).toEqual(['aborted', 'timeout']);
  });

  test('a silent sender is given up by the receiver, and each side hears of the abort of the other', () => {
    const { sender, receiver } = begin();
    for (let i = 0; i < LIMITS.timeoutTicks; i++) receiver.tick();
    expect(receiver.state).toBe('aborted');
    for (const message of receiver.takeMessages()) sender.step(message);
    expect([sender.state, sender.abortReason]).toEqual(['aborted', 'timeout']);
    const other = begin(2);
    other.sender.abort('compacted');
    for (const message of other.sender.takeMessages()) other.receiver.step(message);
    expect([other.receiver.state, other.receiver.abortReason]).toEqual(['aborted', 'compacted']);
  });

  test('messages of another transfer change nothing', () => {
    const { sender, receiver } = begin();
    for (const message of receiver.takeMessages()) sender.step(message);
    sender.step({ kind: 'abort', transfer: 9, reason: 'other' });
    receiver.step({ kind: 'chunk', transfer: 9, number: 0, last: true, data: chunk(0) });
    expect([sender.state, receiver.state, receiver.takeChunk()]).toEqual(['streaming', 'receiving', undefined]);
  });

  test('over links that lose, repeat, reorder and break, every transfer completes with bounded buffers (200 seeds)', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const rng = new Rng(seed);
      const { sender, receiver } = begin(seed);
      const chunks = rng.int(1, 30);
      const consumed: number[] = [];
      let air: { to: 'sender' | 'receiver'; message: SnapshotMessage }[] = [];
      for (let i = 0; i < 5000 && sender.state !== 'done'; i++) {
        for (const message of receiver.takeMessages()) air.push({ to: 'sender', message });
        for (const message of sender.takeMessages()) air.push({ to: 'receiver', message });
        const at = air.length === 0 ? -1 : rng.int(0, Math.min(3, air.length - 1));
        const flying = air[at];
        if (flying !== undefined) {
          if (!rng.chance(0.1)) air.splice(at, 1);
          if (!rng.chance(0.15)) (flying.to === 'sender' ? sender : receiver).step(flying.message);
        }
        if (rng.chance(0.5)) supplyAll(sender, chunks);
        if (rng.chance(0.5)) consumeAll(receiver, consumed);
        if (air.length === 0 || rng.chance(0.02)) sender.tick();
        if (rng.chance(0.005)) {
          air = [];
          sender.linkReset();
        }
        expect(receiver.bufferedBytes, `seed ${seed}`).toBeLessThanOrEqual(LIMITS.windowBytes + chunks);
        expect(sender.bufferedBytes, `seed ${seed}`).toBeLessThanOrEqual(LIMITS.windowBytes + chunks);
      }
      expect(sender.state, `seed ${seed}`).toBe('done');
      expect(consumed, `seed ${seed}`).toEqual(Array.from({ length: chunks }, (_, i) => i));
    }
  });
});
