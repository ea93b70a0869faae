import { keyValueMessages as m } from '@kahuna/wire';
import { GrpcClient } from './grpc-kv.ts';
import { type Hlc, ZERO } from './kv-api.ts';
import { RestCalls } from './rest-kv.ts';

export interface HoldAnswer {
  readonly type: number;
  /** Of an acquire; '' otherwise. */
  readonly holdId: string;
  readonly leaseExpiry: Hlc;
}

export interface FloorAnswer {
  readonly type: number;
  readonly effectiveFloor: Hlc;
  readonly liveHolds: number;
}

/** Snapshot holds as a test sees them, whatever carries them. */
export interface HoldApi {
  acquire(holderId: string, timestamp: Hlc, leaseMs: number): Promise<HoldAnswer>;
  renew(holdId: string, leaseMs: number): Promise<HoldAnswer>;
  release(holdId: string): Promise<HoldAnswer>;
  floor(): Promise<FloorAnswer>;
  close(): void;
}

export class RestHolds implements HoldApi {
  private readonly rest: RestCalls;

  constructor(url: string) {
    this.rest = new RestCalls(`${url}/v1/kv`);
  }

  private async ask(path: string, body: object): Promise<HoldAnswer> {
    const raw = await this.rest.post<{ type: number; holdId?: string; leaseExpiry?: Hlc }>(`snapshot-hold/${path}`, body);
    return { type: raw.type, holdId: raw.holdId ?? '', leaseExpiry: raw.leaseExpiry ?? ZERO };
  }

  acquire(holderId: string, timestamp: Hlc, leaseMs: number): Promise<HoldAnswer> {
    return this.ask('acquire', { holderId, timestamp, leaseMs });
  }

  renew(holdId: string, leaseMs: number): Promise<HoldAnswer> {
    return this.ask('renew', { holdId, leaseMs });
  }

  release(holdId: string): Promise<HoldAnswer> {
    return this.ask('release', { holdId });
  }

  floor(): Promise<FloorAnswer> {
    return this.rest.get('snapshot-floor');
  }

  close(): void {
    this.rest.close();
  }
}

export class GrpcHolds implements HoldApi {
  private readonly grpc: GrpcClient;

  constructor(address: string) {
    this.grpc = new GrpcClient(address);
  }

  async acquire(holderId: string, { n, l, c }: Hlc, leaseMs: number): Promise<HoldAnswer> {
    const fields = {
      ...{ HolderId: holderId, LeaseMs: leaseMs },
      ...{ TimestampNode: n, TimestampPhysical: BigInt(l), TimestampCounter: c },
    };
    const answer = await this.grpc.call(
      '/KeyValuer/AcquireSnapshotHold',
      m.GrpcAcquireSnapshotHoldRequest,
      m.GrpcAcquireSnapshotHoldResponse,
      fields,
    );
    return { type: answer.Type, holdId: answer.HoldId, leaseExpiry: expiryOf(answer) };
  }

  async renew(holdId: string, leaseMs: number): Promise<HoldAnswer> {
    const answer = await this.grpc.call(
      '/KeyValuer/RenewSnapshotHold',
      m.GrpcRenewSnapshotHoldRequest,
      m.GrpcRenewSnapshotHoldResponse,
      { HoldId: holdId, LeaseMs: leaseMs },
    );
    return { type: answer.Type, holdId: '', leaseExpiry: expiryOf(answer) };
  }

  async release(holdId: string): Promise<HoldAnswer> {
    const answer = await this.grpc.call(
      '/KeyValuer/ReleaseSnapshotHold',
      m.GrpcReleaseSnapshotHoldRequest,
      m.GrpcReleaseSnapshotHoldResponse,
      { HoldId: holdId },
    );
    return { type: answer.Type, holdId: '', leaseExpiry: ZERO };
  }

  async floor(): Promise<FloorAnswer> {
    const answer = await this.grpc.call(
      '/KeyValuer/GetSnapshotFloor',
      m.GrpcGetSnapshotFloorRequest,
      m.GrpcGetSnapshotFloorResponse,
      {},
    );
    const effectiveFloor = {
      n: answer.EffectiveFloorNode,
      l: Number(answer.EffectiveFloorPhysical),
      c: answer.EffectiveFloorCounter,
    };
    return { type: answer.Type, effectiveFloor, liveHolds: answer.LiveHolds };
  }

  close(): void {
    this.grpc.close();
  }
}

function expiryOf(answer: {
  readonly LeaseExpiryNode: number;
  readonly LeaseExpiryPhysical: bigint;
  readonly LeaseExpiryCounter: number;
}): Hlc {
  return { n: answer.LeaseExpiryNode, l: Number(answer.LeaseExpiryPhysical), c: answer.LeaseExpiryCounter };
}
