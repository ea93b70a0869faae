import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS, Persistent } from '@kahuna/e2e';
import {
  decodeLockResponse,
  EnvelopeFrames,
  EnvelopeReader,
  LOCK_ENVELOPES,
  lockBatchType,
  lockMessages,
  MAX_BATCH_MESSAGE_BYTES,
  ProtoReader,
  type ReceivedLock,
  type RequestedLock,
  writeLockRequest,
} from '@kahuna/wire';
import { LEASE_MS, type TryLockClient } from './lock-client.ts';

const METHOD = '/Locker/BatchClientLockRequests';
const Type = lockMessages.GrpcLockResponseType;
const asIs = (bytes: Buffer): Buffer => bytes;

interface Waiting {
  readonly kind: RequestedLock['kind'];
  readonly answered: (answer: ReceivedLock | undefined) => void;
}

/** Our locks through the lock batch stream, which is what released clients use: one message for each request (grpc §8.6). */
export class KahunaLockStream implements TryLockClient {
  private readonly client: grpc.Client;
  private readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;
  private readonly frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, LOCK_ENVELOPES);
  private readonly envelopes = new EnvelopeReader(LOCK_ENVELOPES);
  private readonly reader = new ProtoReader();
  private readonly waiting = new Map<number, Waiting>();
  private nextRequestId = 1;
  private flushWanted = false;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.call = this.client.makeBidiStreamRequest(METHOD, asIs, asIs);
    this.call.on('data', (message: Buffer) => this.receive(message));
    this.call.on('error', () => this.broken());
    this.call.on('end', () => this.broken());
  }

  tryAcquire(name: string, worker: number, tried: Parameters<TryLockClient['tryAcquire']>[2]): void {
    this.send(request('lock-acquire', name, worker), answer => {
      if (answer?.type === Type.LOCK_RESPONSE_TYPE_LOCKED) tried('held');
      else tried(answer?.type === Type.LOCK_RESPONSE_TYPE_BUSY ? 'taken by another' : 'failed');
    });
  }

  release(name: string, worker: number, released: (ok: boolean) => void): void {
    this.send(request('lock-release', name, worker), answer => released(answer?.type === Type.LOCK_RESPONSE_TYPE_UNLOCKED));
  }

  private send(operation: RequestedLock, answered: Waiting['answered']): void {
    const requestId = this.nextRequestId;
    this.nextRequestId = (requestId + 1) | 0;
    this.waiting.set(requestId, { kind: operation.kind, answered });
    const writer = this.frames.begin(MAX_REQUEST_BYTES);
    const start = writer.mark;
    writeLockRequest(writer, operation);
    this.frames.end(start, lockBatchType(operation.kind), requestId);
    if (this.flushWanted) return;
    this.flushWanted = true;
    setImmediate(this.flush);
  }

  private readonly flush = (): void => {
    this.flushWanted = false;
    // Copied, because the library sends a message some turns after it took it.
    for (const message of this.frames.take()) this.call.write(Buffer.from(message));
    this.frames.clear();
  };

  private receive(message: Buffer): void {
    const { envelopes, reader } = this;
    envelopes.reset(message);
    while (envelopes.next()) {
      const { requestId, hasPayload, payloadStart, payloadEnd } = envelopes;
      const waiting = this.waiting.get(requestId);
      if (!waiting) throw new Error(`an answer to request ${requestId}, which is not under way`);
      this.waiting.delete(requestId);
      if (hasPayload) {
        reader.reset(message, payloadStart, payloadEnd);
        waiting.answered(decodeLockResponse(reader, waiting.kind));
      } else waiting.answered(undefined);
    }
  }

  private broken(): void {
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const { answered } of lost) answered(undefined);
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }
}

/** Names and owners of the comparison are short. */
const MAX_REQUEST_BYTES = 256;

function request(kind: RequestedLock['kind'], key: string, worker: number): RequestedLock {
  const owner = Buffer.from(`worker-${worker}`);
  return { kind, key, owner, expiresMs: kind === 'lock-acquire' ? LEASE_MS : 0, durability: Persistent };
}
