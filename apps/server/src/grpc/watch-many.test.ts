import { EventEmitter } from 'node:events';
import { status } from '@grpc/grpc-js';
import { HLC_ZERO, Rng } from '@kahuna/base';
import type { KahunaNode, Watch, WatchEnd, WatchEvent, WatchPosition, WatchQuery } from '@kahuna/node';
import { decodePosition, watchMessages as messages } from '@kahuna/wire';
import { describe, expect, test } from 'vitest';
import { Unread } from '../gateway/unread.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { type WatchManyCall, WatchManyStream } from './watch-many.ts';

/** The client's end: it decodes what it is sent, and stops reading when told to. */
class Call extends EventEmitter {
  readonly received: messages.GrpcWatchManyResponse[] = [];
  isReading = true;
  isEnded = false;
  /** The server does not read it. */
  isPaused = false;
  bytes = 0;

  write(message: Buffer): boolean {
    this.bytes += message.length;
    this.received.push(messages.GrpcWatchManyResponse.decode(message));
    return this.isReading;
  }

  end(): void {
    this.isEnded = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  ask(request: Partial<messages.GrpcWatchManyRequest>): void {
    this.emit('data', Buffer.from(messages.GrpcWatchManyRequest.encode({ Open: [], Close: [], ...request }).finish()));
  }

  open(Id: number, key: string): void {
    this.ask({ Open: [{ Id, Request: requestOf(key) }] });
  }

  /** What was sent to one watch, in order: revisions, and `@revision` for a position. */
  toldTo(id: number): string[] {
    return this.received.flatMap(({ Shares }) =>
      Shares.filter(({ Ids }) => Ids.includes(id)).flatMap(({ Response }) => {
        const told = (Response?.Events ?? []).map(({ Revision }) => String(Revision));
        if (Response?.Position !== undefined) told.push(`@${placeIn(Response.Position)}`);
        return told;
      }),
    );
  }

  get ends(): messages.GrpcWatchEnd[] {
    return this.received.flatMap(({ Ends }) => Ends);
  }
}

function requestOf(key: string): messages.GrpcWatchRequest {
  return { Target: { $case: 'Key', Key: key }, Start: undefined, ProgressMs: 0, Durability: 0 };
}

/** All tests watch one key, so that positions fit. */
function placeIn(position: string): number {
  return [...decodePosition({ $case: 'Key', Key: 'k' }, position).places.values()][0]?.stamp.c ?? -1;
}

class ScriptedWatch implements Watch {
  readonly waiting: WatchEvent[] = [];
  readonly wake: () => void;
  readonly leaderUrl = '';
  readonly cluster = 'a-cluster';
  end: WatchEnd | undefined = undefined;
  isClosed = false;
  private taken = 0;

  constructor(wake: () => void) {
    this.wake = wake;
  }

  take(maxBytes: number): readonly WatchEvent[] {
    const events = this.waiting.splice(0, Math.ceil(maxBytes / 16_384));
    for (const { change } of events) if ('revision' in change) this.taken = change.revision;
    return events;
  }

  position(): WatchPosition | undefined {
    if (this.waiting.length > 0) return undefined;
    return new Map([[2, { stamp: { n: 1, l: 1, c: this.taken }, key: '' }]]);
  }

  close(): void {
    this.isClosed = true;
  }
}

function eventOf(revision: number): WatchEvent {
  const place = { stamp: { n: 1, l: 1, c: revision }, key: '' };
  const change = {
    kind: 'set',
    key: 'k',
    place,
    revision,
    value: new Uint8Array(100),
    valueKept: true,
    expires: HLC_ZERO,
  } as const;
  return { kind: 'key', partitionId: 2, change, initial: false, cost: 100, encoded: undefined, json: undefined };
}

function openStream() {
  const call = new Call();
  const watches: ScriptedWatch[] = [];
  const queries: WatchQuery[] = [];
  const node = {
    watch(query: WatchQuery, wake: () => void): Watch {
      queries.push(query);
      const watch = new ScriptedWatch(wake);
      watches.push(watch);
      return watch;
    },
  } as unknown as KahunaNode;
  let ended = 0;
  const stream = new WatchManyStream(
    call as unknown as WatchManyCall,
    node,
    new Unread(systemClock).of(() => undefined),
    () => ended++,
  );
  return { call, watches, queries, stream, ends: () => ended };
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('many watches on one stream', () => {
  test('a client that does not read is not read: refusals of what it asks for would pile up', () => {
    const { call } = openStream();
    call.isReading = false;
    let asked = 0;
    for (; asked < 1000 && !call.isPaused; asked++) call.ask({ Open: [{ Id: asked + 1, Request: undefined }] });
    expect([asked, call.ends.length]).toEqual([1, 1]);
    call.isReading = true;
    call.emit('drain');
    expect(call.isPaused).toBe(false);
  });

  test('a change that a thousand of them see is sent once, with their ids', async () => {
    const { call, watches } = openStream();
    for (let id = 1; id <= 1000; id++) call.open(id, 'k');
    await turn();
    const before = call.bytes;
    const event = eventOf(7);
    for (const watch of watches) {
      watch.waiting.push(event);
      watch.wake();
    }
    await turn();
    const last = call.received.at(-1);
    expect(last?.Shares.map(({ Ids, Response }) => [Ids.length, Response?.Events.length])).toEqual([[1000, 1]]);
    expect(call.bytes - before).toBeLessThan(2500);
  });

  test('each is told its own, in order, with positions behind what they cover, also while the client does not read', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const rng = new Rng(seed);
      const { call, watches } = openStream();
      const told = new Map<number, string[]>();
      let revision = 0;
      for (let step = 0; step < 60; step++) {
        if (watches.length < 5) {
          call.open(watches.length + 1, 'k');
          told.set(watches.length, []);
        }
        for (let burst = rng.int(0, 8); burst > 0; burst--) {
          const event = eventOf(++revision);
          for (const [at, watch] of watches.entries()) {
            if (rng.chance(0.2)) continue;
            watch.waiting.push(event);
            told.get(at + 1)?.push(String(revision));
          }
        }
        for (const watch of watches) if (rng.chance(0.7)) watch.wake();
        call.isReading = rng.chance(0.7);
        if (call.isReading) call.emit('drain');
        await turn();
      }
      call.isReading = true;
      for (const watch of watches) watch.wake();
      call.emit('drain');
      await turn();
      for (const [id, expected] of told) {
        const all = call.toldTo(id);
        expect(all.filter(text => !text.startsWith('@'))).toEqual(expected);
        const [position] = all.filter(text => text.startsWith('@'));
        const before = all.slice(0, all.indexOf(position as string));
        expect(position).toBe(`@${before.at(-1) ?? 0}`);
      }
    }
  });

  test('one that ends or is wrong says so, and the others go on', async () => {
    const { call, watches } = openStream();
    call.ask({
      Open: [
        { Id: 1, Request: requestOf('k') },
        { Id: 2, Request: undefined },
      ],
    });
    call.open(3, 'k');
    const [first, third] = watches as [ScriptedWatch, ScriptedWatch];
    first.waiting.push(eventOf(1));
    first.end = 'pruned';
    first.wake();
    await turn();
    expect(call.ends.map(({ Id, Code }) => [Id, Code])).toEqual([
      [2, status.INVALID_ARGUMENT],
      [1, status.OUT_OF_RANGE],
    ]);
    expect(call.toldTo(1)).toContain('1');
    third.waiting.push(eventOf(2));
    third.wake();
    await turn();
    expect(call.toldTo(3)).toEqual(['@0', '2']);
    call.ask({ Close: [3, 99] });
    expect([first.isClosed, third.isClosed]).toEqual([true, true]);
  });

  test.each([0, -1, 5])('id %i behind 5 ends the stream', async id => {
    const { call, watches, ends } = openStream();
    const errors: { code: number }[] = [];
    call.on('error', error => errors.push(error as unknown as { code: number }));
    call.open(5, 'k');
    call.open(id, 'k');
    expect(errors.map(({ code }) => code)).toEqual([status.INVALID_ARGUMENT]);
    expect(watches.map(({ isClosed }) => isClosed)).toEqual([true]);
    expect(ends()).toBe(1);
  });

  test.each([
    [
      'opens more watches than are opened in one turn',
      Array.from({ length: 10_001 }, (_, i) => ({ Id: i + 1, Request: undefined })),
    ],
    ['is longer than is read in one turn', [{ Id: 1, Request: requestOf('k'.repeat(1024 * 1024)) }]],
  ])('a message that %s ends the stream, and opens nothing', (_, Open) => {
    const { call, watches, ends } = openStream();
    let code: number | undefined;
    call.on('error', (error: { code: number }) => {
      code = error.code;
    });
    call.ask({ Open });
    expect([watches.length, call.ends.length, ends(), code]).toEqual([0, 0, 1, status.RESOURCE_EXHAUSTED]);
  });

  test('bytes that are no message end the stream; the client may end it too', async () => {
    const bad = openStream();
    bad.call.on('error', () => undefined);
    bad.call.emit('data', Buffer.from([0xff, 0xff]));
    expect(bad.ends()).toBe(1);
    const done = openStream();
    done.call.open(1, 'k');
    done.call.emit('end');
    expect(done.call.isEnded).toBe(true);
    expect(done.watches[0]?.isClosed).toBe(true);
  });
});
