import { Persistent } from '@kahuna/e2e';
import {
  batchMessages,
  decodeLockResponse,
  lockMessages,
  type ReceivedLock,
  type RequestedLock,
  writeLockRequest,
} from '@kahuna/wire';
import { KahunaBatcher } from '../load/kahuna-batcher.ts';
import { LEASE_MS, type TryLockClient } from './lock-client.ts';

const { GrpcBatchType: BatchType } = batchMessages;
const Type = lockMessages.GrpcLockResponseType;

/** Our locks in frames, which is how our client library asks for them. */
export class KahunaLocks implements TryLockClient {
  private readonly batcher: KahunaBatcher;

  constructor(address: string) {
    this.batcher = new KahunaBatcher(address);
  }

  tryAcquire(name: string, worker: number, tried: Parameters<TryLockClient['tryAcquire']>[2]): void {
    this.send(BatchType.BATCH_TRY_LOCK, 'lock-acquire', name, worker, answer => {
      if (answer?.type === Type.LOCK_RESPONSE_TYPE_LOCKED) tried('held');
      else tried(answer?.type === Type.LOCK_RESPONSE_TYPE_BUSY ? 'taken by another' : 'failed');
    });
  }

  release(name: string, worker: number, released: (ok: boolean) => void): void {
    this.send(BatchType.BATCH_UNLOCK, 'lock-release', name, worker, answer =>
      released(answer?.type === Type.LOCK_RESPONSE_TYPE_UNLOCKED),
    );
  }

  private send(
    type: number,
    kind: RequestedLock['kind'],
    key: string,
    worker: number,
    answered: (answer: ReceivedLock | undefined) => void,
  ): void {
    const owner = Buffer.from(`worker-${worker}`);
    const expiresMs = kind === 'lock-acquire' ? LEASE_MS : 0;
    this.batcher.send(
      type,
      writer => writeLockRequest(writer, { kind, key, owner, expiresMs, durability: Persistent }),
      payload => answered(payload && decodeLockResponse(payload, kind)),
    );
  }

  close(): void {
    this.batcher.close();
  }
}
