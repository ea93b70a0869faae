import { lockMessages } from '@kahuna/wire';
import { beforeEach, describe, expect, test } from 'vitest';
import { KahunaClient } from './client.ts';
import type { Lock, LockEvent } from './locks-api.ts';
import { ManualRuntime } from './manual-runtime.test-support.ts';
import { lost, ScriptedTransport, type Sent } from './scripted-transport.test-support.ts';
import type { WatchRequest, WatchSink } from './transport.ts';
import type { LockChange } from './watch-api.ts';

const Type = lockMessages.GrpcLockResponseType;
const LOCKED = { Type: Type.LOCK_RESPONSE_TYPE_LOCKED, FencingToken: 7n };
const BUSY = { Type: Type.LOCK_RESPONSE_TYPE_BUSY, FencingToken: 0n };
const EXTENDED = { Type: Type.LOCK_RESPONSE_TYPE_EXTENDED, FencingToken: 7n };
const UNLOCKED = { Type: Type.LOCK_RESPONSE_TYPE_UNLOCKED };

let runtime: ManualRuntime;
let transport: ScriptedTransport;
let kahuna: KahunaClient;

beforeEach(() => {
  runtime = new ManualRuntime();
  transport = new ScriptedTransport();
  kahuna = new KahunaClient({ endpoints: 'http://a:2070' }, transport, runtime);
});

/** A server that grants, extends and releases whatever it is asked, but for what the test overrides. */
function serve(overrides: Partial<Record<Sent['what'], (sent: Sent) => void>> = {}): void {
  const answers: Partial<Record<Sent['what'], unknown>> = { tryLock: LOCKED, extendLock: EXTENDED, unlock: UNLOCKED };
  transport.script = sent => {
    const override = overrides[sent.what];
    if (override) override(sent);
    else sent.answer(answers[sent.what]);
  };
}

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

function ownerOf(sent: Sent | undefined): string {
  const request = sent?.request as { readonly Owner: Uint8Array } | undefined;
  return Buffer.from(request?.Owner ?? []).toString('hex');
}

describe('waiting for a lock that is watched', () => {
  interface Opened {
    readonly request: WatchRequest;
    readonly sink: WatchSink;
    closed: boolean;
  }
  let opened: Opened[];
  let granting: boolean;

  beforeEach(() => {
    opened = [];
    granting = false;
    transport.watchOf = (_endpoint, request, _alone, sink) => {
      const watch: Opened = { request, sink, closed: false };
      opened.push(watch);
      return {
        resume: () => undefined,
        close: () => {
          watch.closed = true;
        },
      };
    };
    serve({ tryLock: sent => sent.answer(granting ? LOCKED : BUSY) });
  });

  const tell = (kind: LockChange['kind'], held: boolean): void => {
    const stamp = { n: 1, l: 5, c: 0 };
    const owner = Uint8Array.of(1);
    const change: LockChange = { kind, name: 'door', held, owner, fencingToken: 6n, expires: stamp, stamp, partition: 2 };
    opened.at(-1)?.sink.told({ changes: [change], position: undefined });
  };

  test('it is asked for at once when it is released, and seldom before', async () => {
    const seen = outcome(kahuna.lock('door', { waitMs: 60_000, retryMs: 100 }));
    await runtime.advance(1);
    expect(opened.map(({ request }) => request.Target)).toEqual([{ $case: 'Lock', Lock: 'door' }]);
    tell('snapshot', true);
    await runtime.advance(400);
    const before = transport.of('tryLock').length;
    expect(before).toBe(1);
    granting = true;
    tell('released', false);
    await runtime.advance(1);
    expect(seen.value?.fencingToken).toBe(7n);
    expect(transport.of('tryLock')).toHaveLength(2);
    expect(opened.map(({ closed }) => closed)).toEqual([true]);
  });

  test('who comes too late waits for the next release', async () => {
    const seen = outcome(kahuna.lock('door', { waitMs: 60_000, retryMs: 100 }));
    await runtime.advance(1);
    tell('snapshot', true);
    tell('released', false);
    await runtime.advance(1);
    expect(transport.of('tryLock')).toHaveLength(2);
    tell('acquired', true);
    await runtime.advance(200);
    expect(transport.of('tryLock')).toHaveLength(2);
    granting = true;
    tell('expired', false);
    await runtime.advance(1);
    expect(seen.value?.fencingToken).toBe(7n);
  });

  test('a release that is told while the refusal is on its way counts', async () => {
    const refusals: Sent[] = [];
    serve({ tryLock: sent => (granting ? sent.answer(LOCKED) : void refusals.push(sent)) });
    const seen = outcome(kahuna.lock('door', { waitMs: 60_000, retryMs: 100 }));
    await runtime.advance(1);
    refusals[0]?.answer(BUSY);
    await runtime.advance(1);
    tell('snapshot', false);
    await runtime.advance(1);
    expect(refusals).toHaveLength(2);
    tell('released', false);
    granting = true;
    refusals[1]?.answer(BUSY);
    await runtime.advance(1);
    expect(seen.value?.fencingToken).toBe(7n);
  });

  test('news that do not come are not relied upon', async () => {
    const seen = outcome(kahuna.lock('door', { waitMs: 60_000, retryMs: 100 }));
    await runtime.advance(1);
    tell('snapshot', true);
    granting = true;
    await runtime.advance(1001);
    expect(seen.value?.fencingToken).toBe(7n);
  });

  test('the end of the wait ends the watch', async () => {
    const controller = new AbortController();
    const seen = outcome(kahuna.lock('door', { signal: controller.signal }));
    await runtime.advance(1);
    tell('snapshot', true);
    controller.abort(new Error('never mind'));
    await runtime.advance(1);
    expect(seen.error).toMatchObject({ message: 'never mind' });
    expect(opened.map(({ closed }) => closed)).toEqual([true]);
    await runtime.advance(10_000);
    expect(transport.of('tryLock')).toHaveLength(1);
  });
});

describe('acquiring', () => {
  test('locks:§8 a busy lock is asked for again and again with the same owner, with jitter, until it is granted', async () => {
    serve({ tryLock: sent => sent.answer(transport.of('tryLock').length < 5 ? BUSY : LOCKED) });
    const seen = outcome(kahuna.lock('door', { retryMs: 100 }));
    await runtime.advance(1000);
    expect(seen.value?.fencingToken).toBe(7n);
    const asked = transport.of('tryLock');
    expect(asked).toHaveLength(5);
    expect(new Set(asked.map(ownerOf)).size).toBe(1);
  });

  test('the wait ends with LOCK_BUSY', async () => {
    serve({ tryLock: sent => sent.answer(BUSY) });
    const seen = outcome(kahuna.lock('door', { waitMs: 500, retryMs: 100 }));
    await runtime.advance(501);
    expect(seen.error).toMatchObject({ code: 'LOCK_BUSY', retryable: true });
    expect(transport.of('unlock')).toHaveLength(0);
  });

  test('two locks of one process are two owners', async () => {
    serve();
    await kahuna.lock('door');
    await kahuna.lock('door');
    const [first, second] = transport.of('tryLock');
    expect(ownerOf(first)).not.toBe(ownerOf(second));
  });

  test('a grant that arrives after the wait was cancelled is given back, once it is there', async () => {
    let grant: Sent | undefined;
    serve({
      tryLock: sent => {
        grant = sent;
      },
    });
    const controller = new AbortController();
    const seen = outcome(kahuna.lock('door', { signal: controller.signal }));
    await runtime.advance(10);
    const reason = new Error('never mind');
    controller.abort(reason);
    await runtime.advance(10);
    expect(seen.error).toBe(reason);
    expect(transport.of('unlock')).toHaveLength(0);
    grant?.answer(LOCKED);
    await runtime.advance(10);
    expect(transport.of('unlock').map(ownerOf)).toEqual([ownerOf(grant)]);
  });

  test('a grant that arrives after the wait is over is given back too', async () => {
    let grant: Sent | undefined;
    serve({
      tryLock: sent => {
        grant = sent;
      },
    });
    const seen = outcome(kahuna.lock('door', { waitMs: 100 }));
    await runtime.advance(101);
    expect(seen.error).toMatchObject({ code: 'LOCK_BUSY' });
    grant?.answer(LOCKED);
    await runtime.advance(10);
    expect(transport.of('unlock')).toHaveLength(1);
  });

  test('an attempt whose limit comes a moment early is the last one: its late answer would give back the grant of another', async () => {
    runtime.earlyMs = 2;
    const asked: Sent[] = [];
    serve({
      tryLock: sent => {
        asked.push(sent);
        if (asked.length > 1) sent.answer(LOCKED);
      },
    });
    const seen = outcome(kahuna.lock('door', { waitMs: 500, retryMs: 1 }));
    await runtime.advance(600);
    asked[0]?.answer(LOCKED);
    await runtime.advance(10);
    expect(seen.value).toBeUndefined();
    expect(seen.error).toMatchObject({ code: 'LOCK_BUSY' });
    expect([asked.length, transport.of('unlock').length]).toEqual([1, 1]);
  });

  test('an acquire whose answer was lost may have been granted then: the lease counts from it, and is extended first', async () => {
    serve({
      tryLock: sent => {
        if (transport.of('tryLock').length === 1) void runtime.after(4000, () => sent.fail(lost(true)));
        else sent.answer(LOCKED);
      },
    });
    const seen = outcome(kahuna.lock('door', { leaseMs: 10_000 }));
    await runtime.advance(4300);
    expect(transport.of('extendLock')).toHaveLength(1);
    expect(seen.value?.remainingMs).toBeGreaterThan(8500);
  });

  test('an acquire that ended in doubt goes on counting when the wait tries again', async () => {
    // By then the first request has been given up as unreachable, and the wait has begun another one.
    const grantsFromMs = 7000;
    serve({ tryLock: sent => (runtime.monotonicMs() < grantsFromMs ? sent.fail(lost(true)) : sent.answer(LOCKED)) });
    let broken = 0;
    const { script } = transport;
    transport.script = sent => {
      // The first request may have been granted; those that follow never leave.
      if (sent.what === 'tryLock' && runtime.monotonicMs() < grantsFromMs && broken++ > 0) sent.fail(lost(false));
      else script(sent);
    };
    let extensionsBefore = 0;
    const onEvent = (event: LockEvent): void => {
      if (event.kind === 'granted') extensionsBefore = transport.of('extendLock').length;
    };
    const seen = outcome(kahuna.lock('door', { leaseMs: 20_000, onEvent }));
    await runtime.advance(14_000);
    expect(seen.value?.fencingToken).toBe(7n);
    expect(extensionsBefore).toBe(1);
  });

  test('a grant that may be older than the request which hears of it is extended before it is handed out', async () => {
    // The first attempt lingers in a node that lost its way to the cluster; its repetition is told that the lock is busy. Then the first one is
    // granted, some time before the next request, which finds the lock held by its own owner.
    serve({
      tryLock: sent => {
        const attempts = transport.of('tryLock').length;
        if (attempts === 1) sent.fail(lost(true));
        else sent.answer(attempts === 2 ? BUSY : LOCKED);
      },
      extendLock: sent => sent.answer({ ...EXTENDED, FencingToken: 8n }),
    });
    let extensionsBefore = 0;
    const onEvent = (event: LockEvent): void => {
      if (event.kind === 'granted') extensionsBefore = transport.of('extendLock').length;
    };
    const seen = outcome(kahuna.lock('door', { leaseMs: 1000, onEvent }));
    await runtime.advance(250);
    expect(extensionsBefore).toBe(1);
    expect(seen.value?.fencingToken).toBe(8n);
  });

  test('the wait ends with its signal while such a grant is extended, and what comes of that is given back', async () => {
    let extending: Sent | undefined;
    serve({
      tryLock: sent => {
        const attempts = transport.of('tryLock').length;
        if (attempts === 1) sent.fail(lost(true));
        else sent.answer(attempts === 2 ? BUSY : LOCKED);
      },
      extendLock: sent => {
        extending = sent;
      },
    });
    const controller = new AbortController();
    const events: string[] = [];
    const onEvent = ({ kind }: LockEvent): void => void events.push(kind);
    const seen = outcome(kahuna.lock('door', { leaseMs: 60_000, signal: controller.signal, onEvent }));
    await runtime.advance(500);
    expect(extending).toBeDefined();
    const reason = new Error('never mind');
    controller.abort(reason);
    await runtime.advance(10);
    expect(seen.error).toBe(reason);
    extending?.answer(EXTENDED);
    await runtime.advance(60_000);
    expect(transport.of('unlock').map(ownerOf)).toEqual([ownerOf(extending)]);
    expect(transport.of('extendLock')).toHaveLength(1);
    expect(events).toEqual([]);
  });

  test('a grant after refusals that were all answered needs no extension', async () => {
    serve({ tryLock: sent => sent.answer(transport.of('tryLock').length < 4 ? BUSY : LOCKED) });
    const seen = outcome(kahuna.lock('door', { leaseMs: 10_000 }));
    await runtime.advance(500);
    expect(seen.value?.fencingToken).toBe(7n);
    expect(transport.of('extendLock')).toHaveLength(0);
  });

  test('tryLock that fails in doubt tries to leave nothing behind', async () => {
    serve({ tryLock: sent => sent.answer({ Type: Type.LOCK_RESPONSE_TYPE_ERRORED, FencingToken: 0n }) });
    const seen = outcome(kahuna.tryLock('door'));
    await runtime.advance(10);
    expect(seen.error).toMatchObject({ code: 'SERVER_FAULT' });
    expect(transport.of('unlock')).toHaveLength(1);
  });

  test.each([
    [{ leaseMs: 0 }],
    [{ leaseMs: 1.5 }],
    [{ leaseMs: 100, safetyMarginMs: 100 }],
    [{ retryMs: 0 }],
    [{ maxHoldMs: 0 }],
  ])('%j is refused before anything is sent', async options => {
    await expect(kahuna.lock('door', options)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(transport.sent).toHaveLength(0);
  });
});

describe('holding', () => {
  async function held(options: Parameters<KahunaClient['lock']>[1] = {}): Promise<Lock> {
    const seen = outcome(kahuna.lock('door', { leaseMs: 9000, ...options }));
    await runtime.advance(0);
    if (!seen.value) throw new Error('the script grants at once');
    return seen.value;
  }

  test('renewals carry the owner; the lock outlives its lease', async () => {
    serve();
    const lock = await held();
    await runtime.advance(60_000);
    lock.assertHeld();
    expect(new Set(transport.of('extendLock').map(ownerOf))).toEqual(new Set([Buffer.from(lock.owner).toString('hex')]));
  });

  test('renewals that get no answer: lost at lease − margin, then one attempt to let go', async () => {
    serve({ extendLock: () => undefined });
    const lock = await held({ safetyMarginMs: 1000 });
    await runtime.advance(7999);
    expect(lock.isHeld).toBe(true);
    await runtime.advance(1);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'lease-over' });
    await runtime.advance(10);
    expect(transport.of('unlock')).toHaveLength(1);
  });

  test.each([
    [Type.LOCK_RESPONSE_TYPE_LOCK_DOES_NOT_EXIST, 7n],
    [Type.LOCK_RESPONSE_TYPE_INVALID_OWNER, 0n],
    [Type.LOCK_RESPONSE_TYPE_EXTENDED, 8n],
  ])('an extension answered with type %i and token %s is a lost lock, and is not released', async (type, token) => {
    serve({ extendLock: sent => sent.answer({ Type: type, FencingToken: token }) });
    const lock = await held();
    await runtime.advance(3100);
    expect(lock.signal.reason).toMatchObject({ reason: 'taken' });
    expect(transport.of('unlock')).toHaveLength(0);
  });

  test('release is one request, ends everything and never throws', async () => {
    serve({ unlock: () => undefined });
    const lock = await held();
    const first = outcome(lock.release());
    expect(lock.release()).toBe(lock.release());
    await runtime.advance(999);
    expect('value' in first).toBe(false);
    await runtime.advance(10);
    expect(first).toEqual({ value: undefined });
    expect(transport.of('unlock')).toHaveLength(1);
    expect(lock.signal.reason).toMatchObject({ reason: 'released' });
    expect(runtime.timers).toBe(0);
  });

  test('events tell the whole story, and a listener that throws harms nothing', async () => {
    serve();
    const events: LockEvent['kind'][] = [];
    const lock = await held({ onEvent: event => events.push(event.kind) });
    await runtime.advance(3100);
    const released = lock.release();
    await runtime.advance(10);
    await released;
    expect(events).toEqual(['granted', 'extended', 'released']);
  });

  test('withLock: the error of the work is what the caller gets, whatever becomes of the release', async () => {
    serve({ unlock: sent => sent.fail(lost(true)) });
    const failure = new Error('the work failed');
    const seen = outcome(kahuna.withLock('door', {}, () => Promise.reject(failure)));
    await runtime.advance(2000);
    expect(seen.error).toBe(failure);
  });
});
