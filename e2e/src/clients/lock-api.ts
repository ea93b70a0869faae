import { lockMessages as m } from '@kahuna/wire';
import { GrpcClient, message } from './grpc-kv.ts';
import { type Hlc, type Route, ZERO } from './kv-api.ts';
import { BATCHER_STREAM, LOCK_STREAM, PayloadStream } from './payload-stream.ts';
import { RestCalls } from './rest-kv.ts';

/** Response types (locks §2.1). */
export const LockType = {
  Locked: 0,
  Busy: 1,
  Extended: 2,
  Unlocked: 3,
  Got: 4,
  Errored: 99,
  InvalidInput: 100,
  MustRetry: 101,
  LockDoesNotExist: 102,
  InvalidOwner: 103,
} as const;

/** Every type that any of the clients below was answered with, for locks:F15. */
export const seenLockTypes: Set<number> = new Set();

function seen<T extends LockAnswer>(answer: T): T {
  seenLockTypes.add(answer.type);
  return answer;
}

export interface LockAnswer {
  readonly type: number;
  readonly token: bigint;
  /** Where the lock lives, 0 if the answer does not say. */
  readonly partitionId: number;
}

export interface LockInfo extends LockAnswer {
  readonly owner: Buffer | null;
  readonly expires: Hlc;
}

/** The lock operations as a test sees them, whatever carries them. `owner` undefined: the member is left out. */
export interface LockApi {
  readonly name: string;
  acquire(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer>;
  extend(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer>;
  unlock(resource: string, owner: Buffer | undefined, durability: number): Promise<LockAnswer>;
  info(resource: string, durability: number): Promise<LockInfo>;
  close(): void;
}

const NO_BYTES = Buffer.alloc(0);

/** How the messages of the lock service travel. */
interface LockMessenger {
  tryLock(message: Partial<m.GrpcTryLockRequest>): Promise<m.GrpcTryLockResponse>;
  extendLock(message: Partial<m.GrpcExtendLockRequest>): Promise<m.GrpcExtendLockResponse>;
  unlock(message: Partial<m.GrpcUnlockRequest>): Promise<m.GrpcUnlockResponse>;
  getLock(message: Partial<m.GrpcGetLockRequest>): Promise<m.GrpcGetLockResponse>;
  close(): void;
}

function unaryCalls(address: string): LockMessenger {
  const grpc = new GrpcClient(address);
  return {
    tryLock: message => grpc.call('/Locker/TryLock', m.GrpcTryLockRequest, m.GrpcTryLockResponse, message),
    extendLock: message => grpc.call('/Locker/TryExtendLock', m.GrpcExtendLockRequest, m.GrpcExtendLockResponse, message),
    unlock: message => grpc.call('/Locker/Unlock', m.GrpcUnlockRequest, m.GrpcUnlockResponse, message),
    getLock: message => grpc.call('/Locker/GetLock', m.GrpcGetLockRequest, m.GrpcGetLockResponse, message),
    close: () => grpc.close(),
  };
}

function streamed(stream: PayloadStream): LockMessenger {
  return {
    tryLock: fields => stream.ask('TryLock', message(m.GrpcTryLockRequest, fields)),
    extendLock: fields => stream.ask('ExtendLock', message(m.GrpcExtendLockRequest, fields)),
    unlock: fields => stream.ask('Unlock', message(m.GrpcUnlockRequest, fields)),
    getLock: fields => stream.ask('GetLock', message(m.GrpcGetLockRequest, fields)),
    close: () => stream.close(),
  };
}

export class GrpcLocks implements LockApi {
  readonly name: string;
  private readonly messenger: LockMessenger;

  private constructor(name: string, messenger: LockMessenger) {
    this.name = name;
    this.messenger = messenger;
  }

  /** One call per request. */
  static unary(address: string): GrpcLocks {
    return new GrpcLocks('gRPC', unaryCalls(address));
  }

  /** `Locker.BatchClientLockRequests`. */
  static onLockStream(address: string): GrpcLocks {
    return new GrpcLocks('lock stream', streamed(new PayloadStream(address, LOCK_STREAM)));
  }

  /** `Batcher.Batch`, in frames. */
  static inFrames(address: string): GrpcLocks {
    return new GrpcLocks('batcher', streamed(new PayloadStream(address, BATCHER_STREAM)));
  }

  async acquire(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer> {
    const answer = await this.messenger.tryLock({
      Resource: resource,
      Owner: owner ?? NO_BYTES,
      ExpiresMs: expiresMs,
      Durability: durability as m.GrpcLockDurability,
    });
    return seen({ type: answer.Type, token: answer.FencingToken, partitionId: answer.Route?.PartitionId ?? 0 });
  }

  async extend(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer> {
    const fields = { Resource: resource, Owner: owner, ExpiresMs: expiresMs, Durability: durability as m.GrpcLockDurability };
    const answer = await this.messenger.extendLock(fields);
    return seen({ type: answer.Type, token: answer.FencingToken, partitionId: answer.Route?.PartitionId ?? 0 });
  }

  async unlock(resource: string, owner: Buffer | undefined, durability: number): Promise<LockAnswer> {
    const fields = { Resource: resource, Owner: owner, Durability: durability as m.GrpcLockDurability };
    const answer = await this.messenger.unlock(fields);
    // No token travels here: an unlock never has one.
    return seen({ type: answer.Type, token: 0n, partitionId: answer.Route?.PartitionId ?? 0 });
  }

  async info(resource: string, durability: number): Promise<LockInfo> {
    const answer = await this.messenger.getLock({ Resource: resource, durability: durability as m.GrpcLockDurability });
    return seen({
      type: answer.Type,
      token: answer.FencingToken,
      partitionId: answer.Route?.PartitionId ?? 0,
      owner: answer.Owner === undefined ? null : Buffer.from(answer.Owner),
      expires: { n: answer.ExpiresNode, l: Number(answer.ExpiresPhysical), c: answer.ExpiresCounter },
    });
  }

  close(): void {
    this.messenger.close();
  }
}

interface RawLock {
  readonly type: number;
  readonly fencingToken: number;
  readonly owner?: string | null;
  readonly expires?: Hlc;
  readonly route: Route | null;
}

export class RestLocks implements LockApi {
  readonly name = 'REST';
  private readonly rest: RestCalls;

  constructor(url: string) {
    this.rest = new RestCalls(`${url}/v1/locks`);
  }

  private async ask(path: string, body: object): Promise<LockInfo> {
    const raw = await this.rest.post<RawLock>(path, body);
    const owner = raw.owner === undefined || raw.owner === null ? null : Buffer.from(raw.owner, 'base64');
    return seen({
      type: raw.type,
      token: BigInt(raw.fencingToken),
      partitionId: raw.route?.partitionId ?? 0,
      owner,
      expires: raw.expires ?? ZERO,
    });
  }

  acquire(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer> {
    return this.ask('try-lock', { resource, owner: owner?.toString('base64'), expiresMs, durability });
  }

  extend(resource: string, owner: Buffer | undefined, expiresMs: number, durability: number): Promise<LockAnswer> {
    return this.ask('try-extend', { resource, owner: owner?.toString('base64'), expiresMs, durability });
  }

  unlock(resource: string, owner: Buffer | undefined, durability: number): Promise<LockAnswer> {
    return this.ask('try-unlock', { resource, owner: owner?.toString('base64'), durability });
  }

  info(resource: string, durability: number): Promise<LockInfo> {
    return this.ask('get-info', { resource, durability });
  }

  close(): void {
    this.rest.close();
  }
}

/** Spreads calls over several nodes, one after the other: an answer must not depend on who was asked. */
export function anyLockNode(apis: readonly LockApi[]): LockApi {
  let turn = 0;
  const next = (): LockApi => apis[turn++ % apis.length] as LockApi;
  return {
    name: apis[0]?.name ?? 'none',
    acquire: (resource, owner, expiresMs, durability) => next().acquire(resource, owner, expiresMs, durability),
    extend: (resource, owner, expiresMs, durability) => next().extend(resource, owner, expiresMs, durability),
    unlock: (resource, owner, durability) => next().unlock(resource, owner, durability),
    info: (resource, durability) => next().info(resource, durability),
    close: () => {
      for (const api of apis) api.close();
    },
  };
}
