import type {
  clusterMessages,
  keyValueMessages,
  lockMessages,
  ReceivedResult,
  RequestedOperation,
  routingMessages,
  sequenceMessages,
  watchMessages,
} from '@kahuna/wire';
import type { TlsOptions } from './tls.ts';
import type { Told } from './watch-told.ts';

interface Exchange<Request, Response> {
  readonly request: Request;
  readonly response: Response;
}

/** Every request but those on one key, with the messages of the wire contract as the common language of the transports. */
export interface Methods {
  setMany: Exchange<keyValueMessages.GrpcTrySetManyKeyValueRequest, keyValueMessages.GrpcTrySetManyKeyValueResponse>;
  deleteMany: Exchange<keyValueMessages.GrpcTryDeleteManyKeyValueRequest, keyValueMessages.GrpcTryDeleteManyKeyValueResponse>;
  getMany: Exchange<keyValueMessages.GrpcTryGetManyValuesRequest, keyValueMessages.GrpcTryGetManyValuesResponse>;
  existsMany: Exchange<keyValueMessages.GrpcTryExistsManyValuesRequest, keyValueMessages.GrpcTryExistsManyValuesResponse>;
  getByBucket: Exchange<keyValueMessages.GrpcGetByBucketRequest, keyValueMessages.GrpcGetByBucketResponse>;
  getByRange: Exchange<keyValueMessages.GrpcGetByRangeRequest, keyValueMessages.GrpcGetByRangeResponse>;
  scanAllByPrefix: Exchange<keyValueMessages.GrpcScanAllByPrefixRequest, keyValueMessages.GrpcScanAllByPrefixResponse>;
  acquireHold: Exchange<keyValueMessages.GrpcAcquireSnapshotHoldRequest, keyValueMessages.GrpcAcquireSnapshotHoldResponse>;
  renewHold: Exchange<keyValueMessages.GrpcRenewSnapshotHoldRequest, keyValueMessages.GrpcRenewSnapshotHoldResponse>;
  releaseHold: Exchange<keyValueMessages.GrpcReleaseSnapshotHoldRequest, keyValueMessages.GrpcReleaseSnapshotHoldResponse>;
  snapshotFloor: Exchange<keyValueMessages.GrpcGetSnapshotFloorRequest, keyValueMessages.GrpcGetSnapshotFloorResponse>;
  tryLock: Exchange<lockMessages.GrpcTryLockRequest, lockMessages.GrpcTryLockResponse>;
  extendLock: Exchange<lockMessages.GrpcExtendLockRequest, lockMessages.GrpcExtendLockResponse>;
  unlock: Exchange<lockMessages.GrpcUnlockRequest, lockMessages.GrpcUnlockResponse>;
  getLock: Exchange<lockMessages.GrpcGetLockRequest, lockMessages.GrpcGetLockResponse>;
  createSequence: Exchange<sequenceMessages.GrpcCreateSequenceRequest, sequenceMessages.GrpcSequenceResponse>;
  getSequence: Exchange<sequenceMessages.GrpcGetSequenceRequest, sequenceMessages.GrpcSequenceResponse>;
  updateSequence: Exchange<sequenceMessages.GrpcUpdateSequenceRequest, sequenceMessages.GrpcSequenceResponse>;
  deleteSequence: Exchange<sequenceMessages.GrpcDeleteSequenceRequest, sequenceMessages.GrpcSequenceResponse>;
  nextValue: Exchange<sequenceMessages.GrpcNextSequenceRequest, sequenceMessages.GrpcSequenceAllocationResponse>;
  reserveRange: Exchange<sequenceMessages.GrpcReserveSequenceRangeRequest, sequenceMessages.GrpcSequenceAllocationResponse>;
  membership: Exchange<clusterMessages.GrpcGetMembershipRequest, clusterMessages.GrpcGetMembershipResponse>;
  routing: Exchange<routingMessages.GrpcGetRoutingMetadataRequest, routingMessages.GrpcGetRoutingMetadataResponse>;
}

export type Method = keyof Methods;
export type RequestOf<M extends Method> = Methods[M]['request'];
export type ResponseOf<M extends Method> = Methods[M]['response'];

export type TransportFault = 'endpoint' | 'request' | 'protocol' | 'pruned' | 'not-leader';

/** Why a request has no answer. */
export class TransportFailure extends Error {
  override name = 'TransportFailure';
  /** The request may have reached the server. Where false, it certainly has not. */
  readonly sent: boolean;
  /**
   * - `endpoint`: others may do better; this one is left alone for a while.
   * - `request`: no endpoint will take this request, for example because it is too large.
   * - `pruned`: a watch asks for history that is gone.
   * - `not-leader`: a watch that another node serves; see {@link NotLeaderFailure}.
   * - `protocol`: the other side does not speak this contract.
   */
  readonly fault: TransportFault;

  constructor(message: string, sent: boolean, fault: TransportFault = 'endpoint', options?: ErrorOptions) {
    super(message, options);
    this.sent = sent;
    this.fault = fault;
  }
}

/** What was asked for is on the leader of its partition only. */
export class NotLeaderFailure extends TransportFailure {
  override name = 'NotLeaderFailure';
  /** URL of that node; '' where it is not known. */
  readonly leaderUrl: string;

  constructor(message: string, leaderUrl: string, options?: ErrorOptions) {
    super(message, false, 'not-leader', options);
    this.leaderUrl = leaderUrl;
  }
}

/** Who waits for an answer. Exactly one of the two is called per request, once, and never inside the call that sent it. */
export interface Reply<R> {
  answered(response: R): void;
  failed(failure: TransportFailure): void;
}

export type WatchRequest = watchMessages.GrpcWatchRequest;

/** Who is told what a watch sees. Never called inside the call that began the watch, nor after its end. */
export interface WatchSink {
  told(message: Told): void;
  ended(failure: TransportFailure): void;
}

/** A watch under way. */
export interface OpenWatch {
  /** Holds the server back until `resume`. undefined: this watch shares its way with others, which must not wait for it. */
  readonly pause?: (() => void) | undefined;
  resume(): void;
  /** The sink hears nothing more. Idempotent. */
  close(): void;
}

export type RangeRequest = keyValueMessages.GrpcGetByRangeRequest;
export type RangePage = keyValueMessages.GrpcGetByRangePageResponse;

/** The way to one endpoint. It connects when first used, and again after a break with the next request. */
export interface Connection {
  /** One key: the path that nearly all traffic takes. */
  operate(operation: RequestedOperation, reply: Reply<ReceivedResult>): void;
  /** `timeoutMs`: what the server and the transport may still spend. */
  call<M extends Method>(method: M, request: RequestOf<M>, timeoutMs: number, reply: Reply<ResponseOf<M>>): void;
  /** Pages of one walk at one moment. Throws a {@link TransportFailure}; leaving the loop ends the walk. */
  pages(request: RangeRequest, signal: AbortSignal | undefined): AsyncIterable<RangePage>;
  /** `alone`: where it can be done, the watch gets a way of its own, on which the server can be held back. */
  watch(request: WatchRequest, alone: boolean, sink: WatchSink): OpenWatch;
  /** Fails what is under way. */
  close(): void;
}

/** How requests reach the servers. Made by `grpcTransport()` or `restTransport()`. */
export interface Transport {
  readonly name: string;
  /**
   * `endpoint`: a URL without trailing slash.
   * @internal
   */
  connect(endpoint: string, tls: TlsOptions | undefined): Connection;
}
