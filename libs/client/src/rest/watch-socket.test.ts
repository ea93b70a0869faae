import { watchMessages as messages } from '@kahuna/wire';
import { expect, test } from 'vitest';
import { KahunaClient } from '../client.ts';
import { ManualRuntime } from '../manual-runtime.test-support.ts';
import { ScriptedTransport } from '../scripted-transport.test-support.ts';
import type { WatchRequest, WatchSink } from '../transport.ts';
import type { Change } from '../watch-api.ts';
import { WatchSocket, type WebSocketLike } from './watch-socket.ts';

/** The server's end of a socket, which the test speaks for. */
class Socket implements WebSocketLike {
  static last: Socket;
  readonly heard: { readonly t: string; readonly id: number }[] = [];
  isClosed = false;
  private readonly listeners = new Map<string, (event: never) => void>();

  constructor() {
    Socket.last = this;
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.listeners.set(type, listener);
  }

  send(text: string): void {
    this.heard.push(JSON.parse(text));
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.listeners.get('open')?.({} as never);
  }

  say(message: object): void {
    this.listeners.get('message')?.({ data: JSON.stringify(message) } as never);
  }
}

const REQUEST: WatchRequest = {
  Target: { $case: 'Bucket', Bucket: 'b' },
  Start: { $case: 'Initial', Initial: true },
  ProgressMs: 1000,
  Durability: messages.GrpcWatchDurability.WATCH_PERSISTENT,
};

function present(revision: number, bytes: number): object {
  const stamp = { n: 1, l: revision, c: 0 };
  const value = Buffer.alloc(bytes).toString('base64');
  const facts = { expires: null, stamp, partition: 2, initial: true, valueGone: false };
  return { kind: 'set', key: `b/${revision}`, value, revision: String(revision), ...facts };
}

test('present state that a page reads more slowly than it comes is held back at the server, and taken to its end', async () => {
  const runtime = new ManualRuntime();
  const transport = new ScriptedTransport();
  const socket = new WatchSocket('http://a:1', Socket, runtime);
  transport.watchOf = (_endpoint, request, _alone, sink) => socket.open(request, sink);
  const watch = new KahunaClient({ endpoints: ['http://a:1'], learnRoutes: false }, transport, runtime).watch;
  const loop = watch.bucket('b', { initial: true })[Symbol.asyncIterator]() as AsyncIterator<Change, void, void>;
  const server = Socket.last;
  server.open();
  const isPaused = (): boolean => server.heard.findLast(({ t }) => t === 'pause' || t === 'resume')?.t === 'pause';
  // 9 MiB, of which the server sends what it may.
  const MIB = 1024 * 1024;
  let sent = 0;
  let most = 0;
  let taken = 0;
  while (taken < 9) {
    for (; sent < 9 && !isPaused(); sent++) server.say({ t: 'events', id: 1, events: [present(sent, MIB)] });
    most = Math.max(most, sent - taken);
    const { value } = await loop.next();
    expect(value?.revision).toBe(taken);
    taken++;
  }
  expect(most).toBeLessThanOrEqual(6);
  expect(server.heard.filter(({ t }) => t === 'watch')).toHaveLength(1);
  expect(server.isClosed).toBe(false);
});

test('reports are not missed of a watch that is paused; of others they are', async () => {
  const runtime = new ManualRuntime();
  const socket = new WatchSocket('http://a:1', Socket, runtime);
  const ended: string[] = [];
  const sinkOf = (name: string): WatchSink => ({ told: () => undefined, ended: () => void ended.push(name) });
  const slow = socket.open(REQUEST, sinkOf('slow'));
  Socket.last.open();
  slow.pause?.();
  await runtime.advance(60_000);
  expect(ended).toEqual([]);
  slow.resume();
  socket.open(REQUEST, sinkOf('other'));
  slow.pause?.();
  await runtime.advance(60_000);
  expect(ended).toEqual(['slow', 'other']);
});
