import { lockMessages, routingMessages } from '@kahuna/wire';
import { beforeEach, describe, expect, test } from 'vitest';
import { KahunaClient } from './client.ts';
import type { KahunaOptions } from './client-options.ts';
import { Type } from './key-calls.ts';
import { ManualRuntime, settled } from './manual-runtime.test-support.ts';
import { lost, result, ScriptedTransport } from './scripted-transport.test-support.ts';
import { TransportFailure } from './transport.ts';

const LockType = lockMessages.GrpcLockResponseType;
const A = 'http://a:2070';
const B = 'http://b:2070';
const C = 'http://c:2070';

let runtime: ManualRuntime;
let transport: ScriptedTransport;

beforeEach(() => {
  runtime = new ManualRuntime();
  transport = new ScriptedTransport();
});

function client(options: Partial<KahunaOptions> = {}): KahunaClient {
  return new KahunaClient({ endpoints: A, ...options }, transport, runtime);
}

/** The outcome of a promise as a value, so that a test can look whether there is one yet. */
function outcome<T>(promise: Promise<T>): { value?: T; error?: unknown } {
  const seen: { value?: T; error?: unknown } = {};
  promise.then(
    value => {
      seen.value = value;
    },
    error => {
      seen.error = error;
    },
  );
  return seen;
}

const mustRetry = result({ type: Type.TYPE_MUST_RETRY });

describe('MUST_RETRY', () => {
  test('grpc:§9.3 five attempts with growing pauses; a read that stays refused is unavailable', async () => {
    const times: number[] = [];
    transport.script = sent => {
      times.push(runtime.monotonicMs());
      sent.answer(mustRetry);
    };
    const seen = outcome(client().keys.get('k'));
    await runtime.advance(100);
    expect(times).toHaveLength(5);
    for (const [i, pauseMs] of [1, 2, 3, 4].entries()) {
      const gap = (times[i + 1] as number) - (times[i] as number);
      expect(gap).toBeGreaterThanOrEqual(pauseMs * 0.75);
      expect(gap).toBeLessThanOrEqual(pauseMs * 1.25);
    }
    expect(seen.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, outcomeUnknown: false });
  });

  test('a write that stays refused has an unknown outcome', async () => {
    transport.script = sent => sent.answer(mustRetry);
    const seen = outcome(client().keys.set('k', 'v'));
    await runtime.advance(100);
    expect(transport.sent).toHaveLength(5);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', outcomeUnknown: true });
  });

  test('repeatWrites never: the first refusal of a write is the last', async () => {
    transport.script = sent => sent.answer(mustRetry);
    const seen = outcome(client().keys.set('k', 'v', { repeatWrites: 'never' }));
    await runtime.advance(100);
    expect(transport.sent).toHaveLength(1);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('a condition that fails after a refusal may have been made false by the first attempt', async () => {
    transport.script = sent =>
      sent.answer(transport.sent.length === 1 ? mustRetry : result({ type: Type.TYPE_NOTSET, revision: 3 }));
    const seen = outcome(client().keys.set('k', 'v', { ifAbsent: true }));
    await runtime.advance(10);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('a condition that fails at once is an answer', async () => {
    transport.script = sent => sent.answer(result({ type: Type.TYPE_NOTSET, revision: 3 }));
    await expect(client().keys.set('k', 'v', { ifAbsent: true })).resolves.toMatchObject({ set: false, revision: 3 });
  });

  test("the same for many keys: a row that a repetition refuses may be the first attempt's own doing", async () => {
    const row = { Key: 'k', Revision: 0n, LastModifiedNode: 0, LastModifiedPhysical: 0n, LastModifiedCounter: 0 };
    const answer = (...types: number[]) => ({ Items: types.map(type => ({ ...row, Type: type })), Routes: [], TimeElapsedMs: 0 });
    const { TYPE_MUST_RETRY, TYPE_SET, TYPE_NOTSET, TYPE_DELETED, TYPE_DOES_NOT_EXIST } = Type;
    const second = {
      setMany: answer(TYPE_SET, TYPE_NOTSET),
      deleteMany: answer(TYPE_DELETED, TYPE_DOES_NOT_EXIST),
    };
    for (const method of ['setMany', 'deleteMany'] as const) {
      const isFirst = (): boolean => transport.of(method).length === 1;
      transport.script = sent => sent.answer(isFirst() ? answer(TYPE_MUST_RETRY, TYPE_MUST_RETRY) : second[method]);
      const { keys } = client();
      const items = ['a', 'k'].map(key => ({ key, value: 'v', ifAbsent: true }));
      const seen = outcome<readonly { readonly error?: unknown }[]>(
        method === 'setMany' ? keys.setMany(items) : keys.deleteMany(['a', 'k']),
      );
      await runtime.advance(10);
      expect(seen.value?.map(({ error }) => error)).toMatchObject([undefined, { code: 'OUTCOME_UNKNOWN' }]);
    }
    transport.script = sent => sent.answer(second.setMany);
    await expect(
      client().keys.setMany([
        { key: 'a', value: 'v' },
        { key: 'k', value: 'v' },
      ]),
    ).resolves.toMatchObject([
      { set: true, error: undefined },
      { set: false, error: undefined },
    ]);
  });

  test('a repeated delete that finds nothing may have deleted itself', async () => {
    transport.script = sent => sent.answer(transport.sent.length === 1 ? mustRetry : result({ type: Type.TYPE_DOES_NOT_EXIST }));
    const seen = outcome(client().keys.delete('k'));
    await runtime.advance(10);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('grpc:§9.3 lock calls go on for 30 s, changes of sequences are not repeated', async () => {
    transport.script = sent => sent.answer({ Type: sent.what === 'unlock' ? 101 : 5, FencingToken: 0n, Revision: -1n });
    const kahuna = client({ timeoutMs: 60_000 });
    const unlock = outcome(kahuna.locks.release('l', { owner: 'me' }));
    const create = outcome(kahuna.sequence('s').create());
    await runtime.advance(29_000);
    expect(transport.of('unlock').length).toBeGreaterThan(2000);
    expect(unlock.error).toBeUndefined();
    expect(create.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(transport.of('createSequence')).toHaveLength(1);
    await runtime.advance(2000);
    expect(unlock.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('the budget ends repetitions when hardly anything succeeds', async () => {
    transport.script = sent => sent.answer(mustRetry);
    const kahuna = client();
    const calls = Array.from({ length: 1000 }, () => outcome(kahuna.keys.get('k')));
    await runtime.advance(100);
    expect(calls.every(call => call.error !== undefined)).toBe(true);
    expect(transport.sent.length).toBeLessThanOrEqual(1000 + 1000 + 200);
  });
});

describe('broken connections', () => {
  test('what never left is sent elsewhere, whatever it is', async () => {
    transport.script = sent => (transport.sent.length === 1 ? sent.fail(lost(false)) : sent.answer(result({})));
    const kahuna = client({ endpoints: [A, B], learnRoutes: false });
    await expect(kahuna.keys.set('k', 'v')).resolves.toMatchObject({ set: true });
    expect(new Set(transport.sent.map(sent => sent.endpoint))).toEqual(new Set([A, B]));
  });

  test('a plain write whose answer is lost is not repeated; the error says so', async () => {
    transport.script = sent => sent.fail(lost(true));
    const seen = outcome(client({ endpoints: [A, B], learnRoutes: false }).keys.set('k', 'v'));
    await runtime.advance(10);
    expect(transport.sent).toHaveLength(1);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', outcomeUnknown: true });
    expect((seen.error as Error).message).toMatch(/script broke/);
  });

  test('reads, compare-revision sets and writes that may be applied twice are repeated', async () => {
    const kahuna = client({ endpoints: [A, B, C], learnRoutes: false });
    transport.script = sent => (transport.sent.length % 2 === 1 ? sent.fail(lost(true)) : sent.answer(result({ type: 0 })));
    await expect(kahuna.keys.set('k', 'v', { ifRevision: 4 })).resolves.toMatchObject({ set: true });
    await runtime.advance(5000);
    await expect(kahuna.keys.set('k', 'v', { repeatWrites: 'always' })).resolves.toMatchObject({ set: true });
    expect(transport.sent).toHaveLength(4);
  });

  test('a request that breaks every connection is given up', async () => {
    transport.script = sent => sent.fail(lost(true));
    const seen = outcome(client().keys.get('k'));
    await runtime.advance(29_000);
    expect(seen.error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(transport.sent.length).toBeLessThanOrEqual(8);
  });

  test('a request that no server takes is refused at once', async () => {
    transport.script = sent => sent.fail(new TransportFailure('too large', false, 'request'));
    await expect(client().keys.set('k', 'v')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    transport.script = sent => sent.fail(new TransportFailure('unknown method', false, 'protocol'));
    await expect(client().keys.set('k', 'v')).rejects.toMatchObject({ code: 'PROTOCOL' });
  });
});

describe('endpoints', () => {
  test('a node that is down is asked ever more rarely, and found when it is back', async () => {
    const times: number[] = [];
    let up = false;
    transport.script = sent => {
      times.push(runtime.monotonicMs());
      if (up) sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
      else sent.fail(lost(false));
    };
    const kahuna = client();
    const first = outcome(kahuna.keys.get('k'));
    await runtime.advance(2000);
    expect(times.length).toBeLessThanOrEqual(6);
    expect((times.at(-1) as number) - (times.at(-2) as number)).toBeGreaterThan(200);
    up = true;
    await runtime.advance(2900);
    expect(first).toStrictEqual({ value: undefined });
    await expect(kahuna.keys.get('k')).resolves.toBeUndefined();
  });

  test('requests that fail with one connection count as one failure of its node', async () => {
    const times: number[] = [];
    transport.script = sent => {
      times.push(runtime.monotonicMs());
      if (times.length > 50) sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
    };
    const kahuna = client();
    const calls = Array.from({ length: 50 }, () => outcome(kahuna.keys.get('k')));
    await settled();
    for (const sent of [...transport.sent]) sent.fail(lost(true));
    await runtime.advance(200);
    expect(times).toHaveLength(100);
    expect(calls.every(call => 'value' in call)).toBe(true);
  });

  test('calls that wait for a node are woken together, by one timer', async () => {
    transport.script = sent => sent.fail(lost(false));
    const kahuna = client();
    await Promise.all(Array.from({ length: 100 }, () => outcome(kahuna.keys.get('k'))));
    await settled();
    // One for the deadlines, one for the node.
    expect(runtime.timers).toBe(2);
    await kahuna.close();
  });

  test('nothing reachable: after 5 s the error names what the last connection said', async () => {
    transport.script = sent => sent.fail(new TransportFailure('connect ECONNREFUSED', false));
    const seen = outcome(client({ endpoints: [A, B] }).keys.set('k', 'v'));
    await runtime.advance(4900);
    expect(seen.error).toBeUndefined();
    await runtime.advance(6000);
    expect(seen.error).toMatchObject({ code: 'UNAVAILABLE', outcomeUnknown: false });
    expect((seen.error as Error).message).toMatch(/ECONNREFUSED/);
  });

  test('clients of a lost node spread over all others, and come back to it at different times', async () => {
    const moved = new Map<string, number>();
    const backAfterMs: number[] = [];
    for (let i = 0; i < 200; i++) {
      const time = new ManualRuntime();
      time.draw = () => runtime.random();
      const network = new ScriptedTransport();
      network.script = sent => {
        if (sent.endpoint === A) sent.fail(lost(false));
        else sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
      };
      await new KahunaClient({ endpoints: [A, B, C], learnRoutes: false }, network, time).keys.get('k');
      const [first, second] = network.sent;
      if (first?.endpoint === A && second) moved.set(second.endpoint, (moved.get(second.endpoint) ?? 0) + 1);

      const alone = new ScriptedTransport();
      alone.script = sent => {
        if (alone.sent.length > 1) backAfterMs.push(time.monotonicMs() - begunMs);
        sent.fail(lost(false));
      };
      const begunMs = time.monotonicMs();
      const lonely = new KahunaClient({ endpoints: A }, alone, time);
      outcome(lonely.keys.get('k'));
      await time.advance(160);
      await lonely.close();
    }
    expect(moved.get(B)).toBeGreaterThan(15);
    expect(moved.get(C)).toBeGreaterThan(15);
    expect(Math.min(...backAfterMs)).toBeLessThan(60);
    expect(Math.max(...backAfterMs)).toBeGreaterThan(140);
  });

  test('requests of one client keep to one node, so that they travel in one frame', async () => {
    transport.script = sent => sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
    const kahuna = client({ endpoints: [A, B, C], learnRoutes: false });
    await Promise.all(Array.from({ length: 50 }, (_, i) => kahuna.keys.get(`k${i}`)));
    expect(new Set(transport.sent.map(sent => sent.endpoint)).size).toBe(1);
  });
});

describe('routes', () => {
  const { GrpcRouteHint, GrpcRouteProvenance } = routingMessages;
  /** Three pool partitions: 2 → A, 3 → B, 4 → C. `orders/…` is placed in 3, `users/…` in 4 (routing §3.2, pool 3). */
  const metadata = {
    Initialized: true,
    SchemaVersion: 1,
    HashAlgorithm: 'kahuna.placement-group-jump-xxh32-v1',
    PrefixSeparator: '/',
    HashPoolSize: 3,
    HashPartitionOffset: 2,
    SequenceStorageKeyFormat: '__kahuna:sequences:{0}',
    ReservedKeyPrefix: '__kahuna:',
    LocalEndpoint: A,
    SnapshotVersion: 1n,
    Coherent: true,
    KeySpaces: [
      {
        KeySpace: 'split',
        RoutingMode: 'KeyRange',
        Ranges: [
          { StartKey: undefined, EndKey: 'split/m', PartitionId: 2, Generation: 1n },
          { StartKey: 'split/m', EndKey: undefined, PartitionId: 4, Generation: 1n },
        ],
      },
    ],
    Leaders: [
      { PartitionId: 2, Endpoint: A },
      { PartitionId: 3, Endpoint: `${B.toUpperCase()}/` },
      { PartitionId: 4, Endpoint: C },
    ],
    GroupSeparator: '|',
  };
  const answerAll = (overrides: object = {}, hint?: Uint8Array) => {
    transport.script = sent => {
      if (sent.what === 'routing') sent.answer({ ...metadata, ...overrides });
      else if (sent.what === 'tryLock') sent.answer({ Type: 0, FencingToken: 0n });
      else if (sent.what === 'nextValue') sent.answer({ Type: 0, Allocation: { Start: 1n, End: 1n, Count: 1, Revision: 0n } });
      else sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST, hint }));
    };
  };
  const endpointOf = async (kahuna: KahunaClient, key: string): Promise<string | undefined> => {
    await kahuna.keys.get(key);
    return transport.sent.at(-1)?.endpoint;
  };
  async function informed(): Promise<KahunaClient> {
    const kahuna = client({ endpoints: [A, B, C] });
    await kahuna.keys.get('first');
    await settled();
    return kahuna;
  }

  test('routing:§3.2 requests go straight to the leader of their partition', async () => {
    answerAll();
    const kahuna = await informed();
    expect(await endpointOf(kahuna, 'orders/42')).toBe(B);
    expect(await endpointOf(kahuna, 'users/1')).toBe(C);
    expect(await endpointOf(kahuna, 'trailing/')).toBe(A);
    expect(await endpointOf(kahuna, 'split/a')).toBe(A);
    expect(await endpointOf(kahuna, 'split/m')).toBe(C);
    await kahuna.locks.acquire('orders/42', { owner: 'me', leaseMs: 1000 });
    expect(transport.sent.at(-1)?.endpoint).toBe(B);
    await kahuna.locks.acquire('split/z', { owner: 'me', leaseMs: 1000 });
    expect(transport.of('routing')).toHaveLength(1);
    // Pool 3 of routing §3.2 for the sequence `orders` is partition 2.
    await kahuna.sequence('orders').next();
    expect(transport.sent.at(-1)?.endpoint).toBe(A);
  });

  test.each([
    [{ Initialized: false }],
    [{ Coherent: false }],
    [{ SchemaVersion: 2 }],
    [{ HashAlgorithm: 'other' }],
    [{ HashPoolSize: 0 }],
    [{ GroupSeparator: ';' }],
  ])('grpc:§10.1 metadata with %j is thrown away', async overrides => {
    answerAll(overrides);
    const kahuna = await informed();
    const seen = new Set<string | undefined>();
    for (const key of ['orders/1', 'users/1', 'trailing/']) seen.add(await endpointOf(kahuna, key));
    expect(seen.size).toBe(1);
  });

  test('a hint that a request was forwarded moves its partition; one that it was executed keeps it', async () => {
    answerAll();
    const kahuna = await informed();
    const hint = (Provenance: routingMessages.GrpcRouteProvenance, Endpoint: string) =>
      GrpcRouteHint.encode({ PartitionId: 3, Endpoint, Provenance, Generation: 0n }).finish();
    answerAll({}, hint(GrpcRouteProvenance.ROUTE_PROVENANCE_FORWARDED, C));
    expect(await endpointOf(kahuna, 'orders/1')).toBe(B);
    answerAll({}, hint(GrpcRouteProvenance.ROUTE_PROVENANCE_EXECUTED, 'http://elsewhere'));
    expect(await endpointOf(kahuna, 'orders/1')).toBe(C);
    answerAll({}, hint(GrpcRouteProvenance.ROUTE_PROVENANCE_FORWARDED, 'http://not-configured'));
    expect(await endpointOf(kahuna, 'orders/1')).toBe(C);
    expect([A, B, C]).toContain(await endpointOf(kahuna, 'orders/1'));
  });

  test('a leader that fails is passed over; its partitions go to any node until somebody says where', async () => {
    answerAll();
    const kahuna = await informed();
    const { script } = transport;
    transport.script = sent => (sent.endpoint === B ? sent.fail(lost(true)) : script(sent));
    expect(await endpointOf(kahuna, 'orders/1')).not.toBe(B);
    expect(transport.sent.at(-2)?.endpoint).toBe(B);
    expect(await endpointOf(kahuna, 'orders/2')).not.toBe(B);
    expect(transport.sent.at(-2)?.endpoint).not.toBe(B);
  });

  test('the map is asked for again after a minute, and sooner when it could not be used', async () => {
    answerAll({ Initialized: false });
    const kahuna = await informed();
    await runtime.advance(5000);
    answerAll();
    await kahuna.keys.get('x');
    await settled();
    expect(transport.of('routing')).toHaveLength(2);
    await runtime.advance(20_000);
    await kahuna.keys.get('x');
    expect(transport.of('routing')).toHaveLength(2);
    await runtime.advance(45_000);
    await kahuna.keys.get('x');
    expect(transport.of('routing')).toHaveLength(3);
  });
});

describe('deadlines and signals', () => {
  test('a read that is not answered ends at its deadline and did nothing; a write may have', async () => {
    const kahuna = client({ timeoutMs: 1000 });
    const read = outcome(kahuna.keys.get('k'));
    const write = outcome(kahuna.keys.set('k', 'v'));
    const quick = outcome(kahuna.keys.get('k', { timeoutMs: 10 }));
    await runtime.advance(20);
    expect(quick.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(read.error).toBeUndefined();
    await runtime.advance(1000);
    expect(read.error).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcomeUnknown: false });
    expect(write.error).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcomeUnknown: true });
  });

  test('an answer that comes too late is dropped', async () => {
    const seen = outcome(client({ timeoutMs: 10 }).keys.get('k'));
    await runtime.advance(20);
    transport.sent[0]?.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
    await settled();
    expect(seen.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('deadlines leave no timer behind once all calls are over', async () => {
    const kahuna = client();
    transport.script = sent => sent.answer(result({ type: Type.TYPE_DOES_NOT_EXIST }));
    await Promise.all(Array.from({ length: 100 }, (_, i) => kahuna.keys.get('k', { timeoutMs: 10 + (i % 7) })));
    await runtime.advance(1000);
    expect(runtime.timers).toBe(0);
    await kahuna.close();
  });

  test('closing rejects what is under way and says whether it may have happened', async () => {
    const kahuna = client();
    const read = outcome(kahuna.keys.get('k'));
    const write = outcome(kahuna.keys.set('k', 'v'));
    await kahuna.close();
    await settled();
    expect(read.error).toMatchObject({ code: 'CLIENT_CLOSED', outcomeUnknown: false });
    expect(write.error).toMatchObject({ code: 'CLIENT_CLOSED', outcomeUnknown: true });
    expect(runtime.timers).toBe(0);
  });
});

test('a call that found no way once, long ago, waits again when its node is gone for a moment', async () => {
  await runtime.advance(1);
  const began = runtime.monotonicMs();
  const after = (): number => runtime.monotonicMs() - began;
  transport.script = sent => {
    // Gone when the call begins, then without a leader for a while, then gone again for a moment.
    if (after() < 50 || (after() > 7000 && after() < 7100)) sent.fail(lost(false));
    else
      sent.answer({
        Type: after() < 8000 ? LockType.LOCK_RESPONSE_TYPE_MUST_RETRY : LockType.LOCK_RESPONSE_TYPE_LOCKED,
        FencingToken: 4n,
      });
  };
  const seen = outcome(client().locks.acquire('l', { owner: 'me', leaseMs: 60_000 }));
  await runtime.advance(10_000);
  expect(seen).toEqual({ value: { type: 'locked', fencingToken: 4n } });
});

test('nothing is sent once the time of a call is over, though its timer has not fired yet', async () => {
  const times: number[] = [];
  transport.script = sent => {
    times.push(runtime.monotonicMs());
    sent.answer(mustRetry);
  };
  const seen = outcome(client().keys.set('k', 'v', { timeoutMs: 2 }));
  await runtime.advance(100);
  expect(times.length).toBeGreaterThan(1);
  expect(Math.max(...times)).toBeLessThan(2);
  expect(seen.error).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcomeUnknown: true });
});
