import type { Hlc } from '@kahuna/base';
import { HOLD_CALL, READ } from './call.ts';
import type { Caller } from './caller.ts';
import { HoldLostError } from './errors.ts';
import { failureOf, Type } from './key-calls.ts';
import type { HoldOptions, SnapshotFloor, SnapshotHold, Snapshots } from './keys-api.ts';
import { instantOf, Lease } from './lease.ts';
import { checkLease } from './locks.ts';
import { REFUSED, request } from './method-call.ts';
import type { CallOptions, TimePoint } from './options.ts';
import { stampAt, stampOf } from './stamps.ts';

const DEFAULT_LEASE_MS = 60_000;
const MARGIN_SHARE = 0.1;
const MAX_MARGIN_MS = 1000;
const RELEASE_LIMIT_MS = 1000;
const HOLDER_BYTES = 8;
const NO_ROUTE = (): undefined => undefined;

/** Holds of snapshots (keyvalues §10.3). */
export class SnapshotService implements Snapshots {
  private readonly caller: Caller;

  constructor(caller: Caller) {
    this.caller = caller;
  }

  async hold(time?: TimePoint, options: HoldOptions = {}): Promise<SnapshotHold> {
    const { runtime } = this.caller;
    const leaseMs = checkLease(options.leaseMs ?? DEFAULT_LEASE_MS);
    const timestamp = stampAt(time ?? runtime.wallMs());
    const holder = options.holder ?? randomName(runtime.randomBytes(HOLDER_BYTES));
    const sent = instantOf(runtime);
    const { id, leaseExpiry } = await this.acquire(holder, timestamp, leaseMs, options);
    return new LeasedHold(this.caller, { id, timestamp, leaseMs, leaseExpiry, sent });
  }

  floor(options?: CallOptions): Promise<SnapshotFloor> {
    return request(
      this.caller,
      {
        traits: READ,
        method: 'snapshotFloor',
        request: {},
        route: NO_ROUTE,
        conclude: response => {
          if (response.Type === Type.TYPE_MUST_RETRY) return REFUSED;
          if (response.Type !== Type.TYPE_GOT) throw failureOf(response.Type, 'the question for the snapshot floor');
          return {
            effectiveFloor: stampOf(response.EffectiveFloorNode, response.EffectiveFloorPhysical, response.EffectiveFloorCounter),
            liveHolds: response.LiveHolds,
          };
        },
      },
      options,
    );
  }

  private acquire(
    holder: string,
    timestamp: Hlc,
    leaseMs: number,
    options: CallOptions,
  ): Promise<{ id: string; leaseExpiry: Hlc }> {
    return request(
      this.caller,
      {
        traits: HOLD_CALL,
        method: 'acquireHold',
        request: {
          HolderId: holder,
          TimestampNode: timestamp.n,
          TimestampPhysical: BigInt(timestamp.l),
          TimestampCounter: timestamp.c,
          LeaseMs: leaseMs,
        },
        route: NO_ROUTE,
        conclude: response => {
          if (response.Type === Type.TYPE_MUST_RETRY) return REFUSED;
          if (response.Type !== Type.TYPE_SET) throw failureOf(response.Type, 'a snapshot hold');
          const { LeaseExpiryNode, LeaseExpiryPhysical, LeaseExpiryCounter } = response;
          return { id: response.HoldId, leaseExpiry: stampOf(LeaseExpiryNode, LeaseExpiryPhysical, LeaseExpiryCounter) };
        },
      },
      options,
    );
  }
}

function randomName(bytes: Uint8Array): string {
  return `client-${Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')}`;
}

interface Granted {
  readonly id: string;
  readonly timestamp: Hlc;
  readonly leaseMs: number;
  readonly leaseExpiry: Hlc;
  readonly sent: ReturnType<typeof instantOf>;
}

class LeasedHold implements SnapshotHold {
  readonly id: string;
  readonly timestamp: Hlc;
  leaseExpiry: Hlc;
  private readonly caller: Caller;
  private readonly leaseMs: number;
  private readonly lease: Lease;
  private readonly controller = new AbortController();
  private releasing: Promise<void> | undefined;

  constructor(caller: Caller, granted: Granted) {
    this.caller = caller;
    this.id = granted.id;
    this.timestamp = granted.timestamp;
    this.leaseExpiry = granted.leaseExpiry;
    this.leaseMs = granted.leaseMs;
    this.lease = new Lease(
      caller.runtime,
      {
        what: `the snapshot hold ${granted.id}`,
        leaseMs: granted.leaseMs,
        marginMs: Math.min(MAX_MARGIN_MS, granted.leaseMs * MARGIN_SHARE),
        maxHoldMs: Number.POSITIVE_INFINITY,
        renew: timeoutMs => this.renew(timeoutMs),
        onLost: () => {
          const lost: unknown = this.lease.signal.reason;
          this.controller.abort(new HoldLostError(`the snapshot hold ${granted.id} is over`, { cause: lost }));
        },
      },
      granted.sent,
    );
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  release(): Promise<void> {
    this.releasing ??= this.lease.end() ? this.letGo() : Promise.resolve();
    return this.releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private renew(timeoutMs: number): Promise<'renewed' | 'gone'> {
    return request(
      this.caller,
      {
        traits: HOLD_CALL,
        method: 'renewHold',
        request: { HoldId: this.id, LeaseMs: this.leaseMs },
        route: NO_ROUTE,
        conclude: response => {
          if (response.Type === Type.TYPE_MUST_RETRY) return REFUSED;
          if (response.Type === Type.TYPE_DOES_NOT_EXIST) return 'gone' as const;
          if (response.Type !== Type.TYPE_SET) throw failureOf(response.Type, 'the renewal of a snapshot hold');
          const { LeaseExpiryNode, LeaseExpiryPhysical, LeaseExpiryCounter } = response;
          this.leaseExpiry = stampOf(LeaseExpiryNode, LeaseExpiryPhysical, LeaseExpiryCounter);
          return 'renewed' as const;
        },
      },
      { timeoutMs },
    );
  }

  /** What cannot be released ends with its lease. */
  private letGo(): Promise<void> {
    return request<'releaseHold', void>(
      this.caller,
      {
        traits: HOLD_CALL,
        method: 'releaseHold',
        request: { HoldId: this.id },
        route: NO_ROUTE,
        conclude: response => (response.Type === Type.TYPE_MUST_RETRY ? REFUSED : undefined),
      },
      { timeoutMs: RELEASE_LIMIT_MS },
    ).catch(() => undefined);
  }
}
