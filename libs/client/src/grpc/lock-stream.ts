import type { Client } from '@grpc/grpc-js';
import { lockMessages } from '@kahuna/wire';
import type { Runtime } from '../runtime.ts';
import { type Method, type RequestOf, type ResponseOf, TransportFailure } from '../transport.ts';
import { HeldStream } from './held-stream.ts';

const PATH = '/Locker/BatchClientLockRequests';
const { GrpcBatchClientLockRequest, GrpcBatchClientLockResponse, GrpcLockClientBatchType: BatchType } = lockMessages;

export type LockMethod = Extract<Method, 'tryLock' | 'extendLock' | 'unlock' | 'getLock'>;
export type LockRequest = { [M in LockMethod]: { readonly method: M; readonly message: RequestOf<M> } }[LockMethod];
type LockResponse = ResponseOf<LockMethod>;

export function isLockMethod(method: Method): method is LockMethod {
  return method === 'tryLock' || method === 'extendLock' || method === 'unlock' || method === 'getLock';
}

function envelopeOf(requestId: number, request: LockRequest): lockMessages.GrpcBatchClientLockRequest {
  switch (request.method) {
    case 'tryLock':
      return { Type: BatchType.TYPE_TRY_LOCK, RequestId: requestId, payload: { $case: 'TryLock', TryLock: request.message } };
    case 'extendLock':
      return {
        Type: BatchType.TYPE_EXTEND_LOCK,
        RequestId: requestId,
        payload: { $case: 'ExtendLock', ExtendLock: request.message },
      };
    case 'unlock':
      return { Type: BatchType.TYPE_UNLOCK, RequestId: requestId, payload: { $case: 'Unlock', Unlock: request.message } };
    case 'getLock':
      return { Type: BatchType.TYPE_GET_LOCK, RequestId: requestId, payload: { $case: 'GetLock', GetLock: request.message } };
  }
}

function payloadOf(response: lockMessages.GrpcBatchClientLockResponse): LockResponse | undefined {
  const { payload } = response;
  switch (payload?.$case) {
    case 'TryLock':
      return payload.TryLock;
    case 'ExtendLock':
      return payload.ExtendLock;
    case 'Unlock':
      return payload.Unlock;
    case 'GetLock':
      return payload.GetLock;
    case undefined:
      return undefined;
  }
}

/** Lock calls: one message each, for this stream has no frames (grpc §8.6). */
export class LockStream extends HeldStream<LockRequest, LockResponse> {
  private messages: Buffer[] = [];
  /** Lock requests are small: their number bounds them. */
  protected override readonly unsentBytes = 0;

  constructor(client: Client, runtime: Runtime) {
    super(client, PATH, runtime);
  }

  protected override opened(): void {
    this.messages = [];
  }

  protected override encode(requestId: number, request: LockRequest): undefined {
    this.messages.push(Buffer.from(GrpcBatchClientLockRequest.encode(envelopeOf(requestId, request)).finish()));
  }

  protected override takeMessages(): readonly Buffer[] {
    const { messages } = this;
    this.messages = [];
    return messages;
  }

  protected override reset(): void {
    this.messages = [];
  }

  protected override receive(message: Buffer): void {
    const response = GrpcBatchClientLockResponse.decode(message);
    const reply = this.settle(response.RequestId);
    const payload = payloadOf(response);
    if (payload === undefined) {
      reply?.failed(new TransportFailure(`the server does not know this request (type ${response.Type})`, true, 'protocol'));
    } else reply?.answered(payload);
  }
}
