import { lockMessages } from '@kahuna/wire';
import { LOCK_CALL, READ } from './call.ts';
import type { Caller } from './caller.ts';
import { InvalidInputError, type KahunaError, ProtocolError, ServerFaultError } from './errors.ts';
import type { LeaseOptions, LockCalls, LockInfo, OwnerOptions } from './locks-api.ts';
import { REFUSED, request } from './method-call.ts';
import type { CallOptions, Durability } from './options.ts';
import { stampOf } from './stamps.ts';

const { GrpcLockResponseType: Type, GrpcLockDurability } = lockMessages;
const MAX_INT32 = 2_147_483_647;
const encoder = new TextEncoder();

type DurabilityNumber = lockMessages.GrpcLockDurability;

export function checkLease(leaseMs: number): number {
  if (!Number.isInteger(leaseMs) || leaseMs < 1 || leaseMs > MAX_INT32) {
    throw new InvalidInputError(`leaseMs is a whole number from 1 to ${MAX_INT32}`);
  }
  return leaseMs;
}

function ownerBytes(owner: Uint8Array | string): Uint8Array {
  const bytes = typeof owner === 'string' ? encoder.encode(owner) : owner;
  if (bytes.length === 0) throw new InvalidInputError('the owner of a lock has at least one byte');
  return bytes;
}

function failureOf(type: number, what: string): KahunaError {
  if (type === Type.LOCK_RESPONSE_TYPE_INVALID_INPUT) return new InvalidInputError(`the server refuses ${what} as invalid`);
  if (type === Type.LOCK_RESPONSE_TYPE_ERRORED) return new ServerFaultError(`the server failed at ${what}`);
  return new ProtocolError(`the server answered ${what} with type ${type}`);
}

/** The lock service call by call (locks §5). */
export class LockService implements LockCalls {
  private readonly caller: Caller;
  private readonly defaultDurability: Durability;

  constructor(caller: Caller, defaultDurability: Durability) {
    this.caller = caller;
    this.defaultDurability = defaultDurability;
  }

  async acquire(name: string, options: LeaseOptions): Promise<{ type: 'locked' | 'busy'; fencingToken: bigint }> {
    const { type, fencingToken } = await this.tryAcquire(name, options);
    return { type, fencingToken };
  }

  /** `repeated`: an attempt before the one that was answered may still be on its way. */
  async tryAcquire(
    name: string,
    options: LeaseOptions,
  ): Promise<{ type: 'locked' | 'busy'; fencingToken: bigint; repeated: boolean }> {
    return request(
      this.caller,
      {
        traits: LOCK_CALL,
        method: 'tryLock',
        request: {
          Resource: name,
          Owner: ownerBytes(options.owner),
          ExpiresMs: checkLease(options.leaseMs),
          Durability: this.durability(options.durability),
        },
        route: routes => routes.ofLock(name),
        conclude: (response, repeated) => {
          switch (response.Type) {
            case Type.LOCK_RESPONSE_TYPE_MUST_RETRY:
              return REFUSED;
            case Type.LOCK_RESPONSE_TYPE_LOCKED:
              return { type: 'locked' as const, fencingToken: response.FencingToken, repeated };
            case Type.LOCK_RESPONSE_TYPE_BUSY:
              return { type: 'busy' as const, fencingToken: 0n, repeated };
            default:
              throw failureOf(response.Type, `acquiring the lock ${JSON.stringify(name)}`);
          }
        },
      },
      options,
    );
  }

  async extend(
    name: string,
    options: LeaseOptions,
  ): Promise<{ type: 'extended' | 'not-held' | 'other-owner'; fencingToken: bigint }> {
    return request(
      this.caller,
      {
        traits: LOCK_CALL,
        method: 'extendLock',
        request: {
          Resource: name,
          Owner: ownerBytes(options.owner),
          ExpiresMs: checkLease(options.leaseMs),
          Durability: this.durability(options.durability),
        },
        route: routes => routes.ofLock(name),
        conclude: response => {
          switch (response.Type) {
            case Type.LOCK_RESPONSE_TYPE_MUST_RETRY:
              return REFUSED;
            case Type.LOCK_RESPONSE_TYPE_EXTENDED:
              return { type: 'extended' as const, fencingToken: response.FencingToken };
            case Type.LOCK_RESPONSE_TYPE_LOCK_DOES_NOT_EXIST:
              return { type: 'not-held' as const, fencingToken: 0n };
            case Type.LOCK_RESPONSE_TYPE_INVALID_OWNER:
              return { type: 'other-owner' as const, fencingToken: 0n };
            default:
              throw failureOf(response.Type, `extending the lock ${JSON.stringify(name)}`);
          }
        },
      },
      options,
    );
  }

  async release(name: string, options: OwnerOptions): Promise<'released' | 'not-held' | 'other-owner'> {
    return request(
      this.caller,
      {
        traits: LOCK_CALL,
        method: 'unlock',
        request: { Resource: name, Owner: ownerBytes(options.owner), Durability: this.durability(options.durability) },
        route: routes => routes.ofLock(name),
        conclude: (response, inDoubt) => {
          switch (response.Type) {
            case Type.LOCK_RESPONSE_TYPE_MUST_RETRY:
              return REFUSED;
            case Type.LOCK_RESPONSE_TYPE_UNLOCKED:
              return 'released' as const;
            case Type.LOCK_RESPONSE_TYPE_LOCK_DOES_NOT_EXIST:
              // After a repetition: most likely because the first attempt worked (locks §9). Either way it is not held.
              return inDoubt ? ('released' as const) : ('not-held' as const);
            case Type.LOCK_RESPONSE_TYPE_INVALID_OWNER:
              return 'other-owner' as const;
            default:
              throw failureOf(response.Type, `releasing the lock ${JSON.stringify(name)}`);
          }
        },
      },
      options,
    );
  }

  async info(name: string, options: CallOptions & { durability?: Durability | undefined } = {}): Promise<LockInfo | undefined> {
    return request(
      this.caller,
      {
        traits: { ...LOCK_CALL, name: READ.name, write: false },
        method: 'getLock',
        request: { Resource: name, durability: this.durability(options.durability) },
        route: routes => routes.ofLock(name),
        conclude: response => {
          switch (response.Type) {
            case Type.LOCK_RESPONSE_TYPE_MUST_RETRY:
              return REFUSED;
            case Type.LOCK_RESPONSE_TYPE_GOT:
              return {
                owner: new Uint8Array(response.Owner ?? []),
                expires: stampOf(response.ExpiresNode, response.ExpiresPhysical, response.ExpiresCounter),
                fencingToken: response.FencingToken,
              };
            case Type.LOCK_RESPONSE_TYPE_LOCK_DOES_NOT_EXIST:
              return undefined;
            default:
              throw failureOf(response.Type, `asking about the lock ${JSON.stringify(name)}`);
          }
        },
      },
      options,
    );
  }

  private durability(durability: Durability | undefined): DurabilityNumber {
    return (durability ?? this.defaultDurability) === 'ephemeral'
      ? GrpcLockDurability.LOCK_DURABILITY_EPHEMERAL
      : GrpcLockDurability.LOCK_DURABILITY_PERSISTENT;
  }
}
