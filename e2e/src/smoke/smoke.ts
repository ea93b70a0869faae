import { isDeepStrictEqual } from 'node:util';
import { type ChannelCredentials, type ClientDuplexStream, status } from '@grpc/grpc-js';
import { Caller, type Message } from './caller.ts';

/**
 * A client that knows Kahuna only from its published tables: .proto files of its own, and the gRPC library. It calls every method of
 * keys, scans, holds, locks, sequences and of the cluster's reads, and looks at what comes back.
 */
export interface SmokeReport {
  readonly passed: readonly string[];
  readonly failed: readonly { readonly check: string; readonly reason: string }[];
  /** Declared methods that no check called. */
  readonly uncalled: readonly string[];
}

type Check = (caller: Caller, unique: string) => Promise<void>;

export async function runSmoke(address: string, credentials: ChannelCredentials): Promise<SmokeReport> {
  const caller = new Caller(address, credentials);
  const passed: string[] = [];
  const failed: { check: string; reason: string }[] = [];
  try {
    for (const [check, run] of Object.entries(CHECKS)) {
      try {
        await run(caller, `smoke-${process.pid}-${Date.now()}-${passed.length}`);
        passed.push(check);
      } catch (error) {
        failed.push({ check, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    return { passed, failed, uncalled: caller.declared.filter(method => !caller.called.has(method)) };
  } finally {
    caller.close();
  }
}

/** Every expected field must be there with that value; a function judges by itself. Fields that are not named are free. */
function expectFields(actual: unknown, expected: Message, what: string): void {
  const fields = (actual ?? {}) as Message;
  for (const [name, value] of Object.entries(expected)) {
    const found = fields[name];
    const fits = typeof value === 'function' ? (value as (found: unknown) => boolean)(found) : isDeepStrictEqual(found, value);
    if (!fits) throw new Error(`${what}: ${name} is ${JSON.stringify(found)}, expected ${JSON.stringify(value) ?? 'otherwise'}`);
  }
}

const isHint = (hint: unknown): boolean => {
  const { Endpoint, Provenance, PartitionId } = (hint ?? {}) as Message;
  return /^https?:\/\/[^/]+$/.test(String(Endpoint)) && (Provenance === 1 || Provenance === 2) && Number(PartitionId) >= 2;
};
const absent = undefined;
const positive = (value: unknown): boolean => Number(value) > 0;
const bytes = (text: string): Buffer => Buffer.from(text);

/** Writes requests, and resolves with as many answers. */
async function exchange(
  stream: ClientDuplexStream<Message, Message>,
  requests: readonly Message[],
  answers: number,
): Promise<Message[]> {
  const received: Message[] = [];
  const done = new Promise<void>((resolve, reject) => {
    stream.on('data', (message: Message) => {
      const frame = message['Frame'] as { readonly Items: readonly Message[] } | undefined;
      received.push(...(frame?.Items ?? [message]));
      if (received.length >= answers) resolve();
    });
    stream.on('error', reject);
  });
  for (const request of requests) stream.write(request);
  await done;
  stream.end();
  return received;
}

const CHECKS: Readonly<Record<string, Check>> = {
  'one key: set, conditions, get, exists, extend, delete': async (caller, Key) => {
    const call = (method: string, request: Message): Promise<Message> =>
      caller.unary('KeyValuer', method, { Key, Durability: 1, ...request });
    expectFields(await call('TrySetKeyValue', { Value: bytes('one'), Flags: 1 }), { Type: absent, Route: isHint }, 'set');
    expectFields(
      await call('TrySetKeyValue', { Value: bytes('two'), Flags: 8 }),
      { Type: 1, Route: isHint },
      'set if not exists',
    );
    expectFields(await call('TrySetKeyValue', { Value: bytes('two'), Flags: 33 }), { Revision: '1' }, 'set if revision 0');
    const hit = { Type: 3, Value: bytes('two'), Revision: '1', State: 1, LastModifiedPhysical: positive, Route: isHint };
    expectFields(await call('TryGetKeyValue', { Revision: '-1' }), hit, 'get');
    expectFields(await call('TryGetKeyValue', {}), { Type: 3, Value: bytes('one'), Revision: absent }, 'get revision 0');
    expectFields(await call('TryExistsKeyValue', { Revision: '-1' }), { Type: 10, Revision: '1' }, 'exists');
    expectFields(await call('TryExtendKeyValue', { ExpiresMs: 600_000 }), { Type: 2, Revision: '1' }, 'extend');
    expectFields(await call('TryDeleteKeyValue', {}), { Type: 4, Revision: '1' }, 'delete');
    expectFields(
      await call('TryGetKeyValue', { Revision: '-1' }),
      { Type: 103, Revision: '1', Value: absent },
      'get after delete',
    );
    expectFields(await call('TrySetKeyValue', { Key: '' }), { Type: 100, Route: absent }, 'set of no key');
    expectFields(await call('TrySetKeyValue', { Key: '__kahuna:x' }), { Type: 100 }, 'set of a reserved key');
  },
  'no value, zero bytes and a byte are three values': async (caller, unique) => {
    const Items = [{ Value: undefined }, { Value: bytes('') }, { Value: bytes('x') }].map((item, i) => ({
      ...item,
      Key: `${unique}/${i}`,
      Durability: 1,
      Flags: 1,
    }));
    const set = await caller.unary('KeyValuer', 'TrySetManyKeyValue', { Items });
    if ((set['Items'] as Message[]).length !== 3) throw new Error('set-many answers one row per item');
    const wanted = Items.map(({ Key }) => ({ Key, Revision: '-1', Durability: 1 }));
    const many = await caller.unary('KeyValuer', 'TryGetManyValues', { Items: wanted });
    const bucket = await caller.unary('KeyValuer', 'GetByBucket', { PrefixKey: unique, Durability: 1 });
    for (const answer of [many, bucket]) {
      const values = (answer['Items'] as Message[]).map(item => item['Value']);
      if (!isDeepStrictEqual(values, [undefined, bytes(''), bytes('x')])) throw new Error(`read ${JSON.stringify(values)}`);
    }
    const exists = await caller.unary('KeyValuer', 'TryExistsManyValues', { Items: wanted });
    for (const item of exists['Items'] as Message[]) expectFields(item, { Type: 10 }, 'exists-many');
    const deleted = await caller.unary('KeyValuer', 'TryDeleteManyKeyValue', {
      Items: [
        { Key: `${unique}/0`, Durability: 1 },
        { Key: '', Durability: 1 },
      ],
    });
    const types = (deleted['Items'] as Message[]).map(item => item['Type']);
    if (!isDeepStrictEqual(types, [4, 100])) throw new Error(`delete-many answers ${JSON.stringify(types)}`);
  },
  'scans: prefix, range pages and the range stream': async (caller, unique) => {
    const keys = Array.from({ length: 12 }, (_, i) => `${unique}/${String(i).padStart(2, '0')}`);
    await caller.unary('KeyValuer', 'TrySetManyKeyValue', {
      Items: keys.map(Key => ({ Key, Value: bytes(Key), Durability: 1 })),
    });
    const all = await caller.unary('KeyValuer', 'ScanAllByPrefix', { PrefixKey: `${unique}/1`, Durability: 1 });
    const keysOf = (answer: Message): unknown[] => ((answer['Items'] as Message[] | undefined) ?? []).map(item => item['Key']);
    if (!isDeepStrictEqual(keysOf(all), keys.slice(10))) throw new Error('scan-all-by-prefix finds other keys');
    const page = await caller.unary('KeyValuer', 'GetByRange', { Prefix: unique, Limit: 5, Durability: 1 });
    expectFields(page, { Type: 3, HasMore: true, NextCursor: (cursor: unknown) => typeof cursor === 'string' }, 'range page');
    const next = { Prefix: unique, StartKey: keysOf(page).at(-1), Limit: 100, Durability: 1 };
    const rest = await caller.unary('KeyValuer', 'GetByRange', next);
    if (!isDeepStrictEqual([...keysOf(page), ...keysOf(rest)], keys)) throw new Error('range pages miss or repeat keys');
    const pages = await caller.collect('KeyValuer', 'GetByRangeStream', { Prefix: unique, Limit: 5, Durability: 1 });
    if (!isDeepStrictEqual(pages.flatMap(keysOf), keys)) throw new Error('the range stream misses or repeats keys');
    if (pages.length !== 3) throw new Error(`the range stream has ${pages.length} pages`);
    expectFields(await caller.unary('KeyValuer', 'GetByBucket', { PrefixKey: '' }), { Type: 100 }, 'bucket of no prefix');
  },
  'snapshot holds: acquire, renew, floor, release': async (caller, HolderId) => {
    const hold = { HolderId, TimestampPhysical: String(Date.now() - 1000), LeaseMs: 600_000 };
    const acquired = await caller.unary('KeyValuer', 'AcquireSnapshotHold', hold);
    expectFields(
      acquired,
      { HoldId: (id: unknown) => /^[0-9a-f]{32}$/.test(String(id)), LeaseExpiryPhysical: positive },
      'acquire',
    );
    const HoldId = acquired['HoldId'];
    expectFields(
      await caller.unary('KeyValuer', 'RenewSnapshotHold', { HoldId, LeaseMs: 600_000 }),
      { LeaseExpiryPhysical: positive },
      'renew',
    );
    expectFields(await caller.unary('KeyValuer', 'GetSnapshotFloor', {}), { Type: 3, LiveHolds: positive }, 'floor');
    expectFields(await caller.unary('KeyValuer', 'ReleaseSnapshotHold', { HoldId }), { Type: 4 }, 'release');
    expectFields(await caller.unary('KeyValuer', 'ReleaseSnapshotHold', { HoldId }), { Type: 103 }, 'release again');
  },
  'the key/value batch stream: headers first, single envelopes, a frame, a bad type': async (caller, Key) => {
    const stream = caller.bidirectional('KeyValuer', 'BatchClientKeyValueRequests');
    const headers = await new Promise<{ get(name: string): unknown[] }>((resolve, reject) => {
      stream.on('metadata', resolve);
      stream.on('error', reject);
    });
    if (headers.get('kahuna-batch-frames')[0] !== '1') throw new Error('no permission for frames');
    const get = (RequestId: number): Message => ({ Type: 5, RequestId, TryGetKeyValue: { Key, Revision: '-1', Durability: 1 } });
    const set = { Type: 1, RequestId: -5, TrySetKeyValue: { Key, Value: bytes('v'), Durability: 1 } };
    const frame = { Type: 15, Frame: { Items: [get(10), get(11), get(12)] } };
    const answers = await exchange(stream, [set, { Type: 99, RequestId: 7 }, frame], 5);
    const byId = new Map(answers.map(answer => [answer['RequestId'], answer]));
    expectFields(byId.get(-5), { Type: 1, payload: 'TrySetKeyValue' }, 'set');
    expectFields(byId.get(7), { Type: absent, payload: absent }, 'unknown type');
    for (const id of [10, 11, 12]) expectFields(byId.get(id), { Type: 5, payload: 'TryGetKeyValue' }, 'get in a frame');
  },
  'locks: acquire, busy, extend, info, release, tokens': async (caller, Resource) => {
    const lease = (owner: string): Message => ({ Resource, Owner: bytes(owner), ExpiresMs: 600_000, Durability: 1 });
    expectFields(
      await caller.unary('Locker', 'TryLock', lease('a')),
      { Type: absent, FencingToken: absent, Route: isHint },
      'acquire',
    );
    expectFields(await caller.unary('Locker', 'TryLock', lease('b')), { Type: 1, Route: isHint }, 'busy');
    expectFields(await caller.unary('Locker', 'TryExtendLock', lease('a')), { Type: 2 }, 'extend');
    const info = await caller.unary('Locker', 'GetLock', { Resource, durability: 1 });
    expectFields(info, { Type: 4, Owner: bytes('a'), ExpiresPhysical: positive }, 'info');
    expectFields(
      await caller.unary('Locker', 'Unlock', { Resource, Owner: bytes('b'), Durability: 1 }),
      { Type: 103 },
      'foreign release',
    );
    expectFields(await caller.unary('Locker', 'Unlock', { Resource, Owner: bytes('a'), Durability: 1 }), { Type: 3 }, 'release');
    expectFields(await caller.unary('Locker', 'TryLock', lease('b')), { FencingToken: '1' }, 'next grant');
    expectFields(
      await caller.unary('Locker', 'TryLock', { ...lease('a'), ExpiresMs: 0 }),
      { Type: 100, Route: absent },
      'no lease',
    );
  },
  'the lock batch stream': async (caller, Resource) => {
    const stream = caller.bidirectional('Locker', 'BatchClientLockRequests');
    const TryLock = { Resource, Owner: bytes('o1'), ExpiresMs: 5000, Durability: 1 };
    const requests = [
      { Type: 1, RequestId: 1, TryLock },
      { Type: 77, RequestId: 2 },
      { Type: 4, RequestId: 3 },
    ];
    const byId = new Map((await exchange(stream, requests, 3)).map(answer => [answer['RequestId'], answer]));
    expectFields(byId.get(1), { Type: 1, payload: 'TryLock' }, 'acquire');
    expectFields(byId.get(2), { Type: absent, payload: absent }, 'unknown type');
    expectFields(byId.get(3), { Type: 4, payload: 'GetLock' }, 'info without payload');
    expectFields(byId.get(3)?.['GetLock'], { Type: 100 }, 'info without payload');
  },
  'sequences: create, get, next, reserve, update, delete, 64 bits': async (caller, Name) => {
    const call = (method: string, request: Message): Promise<Message> =>
      caller.unary('Sequencer', method, { Name, Durability: 1, ...request });
    expectFields(
      await call('CreateSequence', { Increment: '1' }),
      { Type: absent, Revision: absent, Sequence: absent, Route: isHint },
      'create',
    );
    expectFields(await call('CreateSequence', { Increment: '1' }), { Type: 2, Revision: '-1' }, 'create again');
    const next = await call('NextSequenceValue', { IdempotencyKey: 'k' });
    expectFields(next['Allocation'], { Name, Start: '1', End: '1', Count: 1 }, 'next');
    expectFields((await call('NextSequenceValue', { IdempotencyKey: 'k' }))['Allocation'], { Start: '1' }, 'the same key');
    expectFields((await call('ReserveSequenceRange', { Count: 5 }))['Allocation'], { Start: '2', End: '6', Count: 5 }, 'reserve');
    const top = '9223372036854775806';
    expectFields(await call('UpdateSequence', { CurrentValue: top }), { Type: absent }, 'update');
    expectFields(
      (await call('GetSequence', {}))['Sequence'],
      { CurrentValue: top, Incarnation: '1', MaxValue: absent, Durability: 1 },
      'get',
    );
    expectFields((await call('NextSequenceValue', {}))['Allocation'], { Start: '9223372036854775807' }, 'last value');
    expectFields(await call('NextSequenceValue', {}), { Type: 4, Allocation: absent }, 'beyond the last');
    expectFields(await call('GetSequence', { Durability: 0 }), { Type: 3, Revision: '-1' }, 'unspecified durability');
    expectFields(await call('DeleteSequence', {}), { Type: absent, Revision: absent }, 'delete');
    expectFields(await call('GetSequence', {}), { Type: 1, Revision: '-1', Sequence: absent }, 'get after delete');
  },
  'the cluster: members, placement, ranges, routing': async caller => {
    const membership = await caller.unary('Cluster', 'GetMembership', {});
    expectFields(membership, { Initialized: true, LocalRole: 1, MembershipVersion: positive }, 'membership');
    for (const member of membership['Members'] as Message[]) expectFields(member, { Role: 1, NodeId: positive }, 'member');
    expectFields(
      await caller.unary('Cluster', 'GetPlacement', {}),
      { Initialized: true, HostedPartitionCount: positive },
      'placement',
    );
    const ranges = await caller.unary('Cluster', 'GetRanges', { KeySpace: 'anything' });
    expectFields((ranges['KeySpaces'] as Message[])[0], { KeySpace: 'anything', RoutingMode: 'Hash' }, 'ranges');
    const routing = {
      Initialized: true,
      HashPoolSize: positive,
      HashPartitionOffset: 2,
      PrefixSeparator: '/',
      GroupSeparator: '|',
    };
    expectFields(await caller.unary('Cluster', 'GetRoutingMetadata', {}), routing, 'routing');
  },
  'what does not exist is UNIMPLEMENTED': async caller => {
    const refused = await caller.raw('/Locker/Nothing').catch((error: { code: number }) => error.code);
    if (refused !== status.UNIMPLEMENTED) throw new Error(`/Locker/Nothing answers ${String(refused)}`);
  },
};
