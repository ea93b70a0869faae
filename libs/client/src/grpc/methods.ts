import {
  clusterMessages as cluster,
  keyValueMessages as kv,
  routingMessages,
  sequenceMessages as sequences,
  watchMessages as watches,
} from '@kahuna/wire';
import type { Method, RequestOf, ResponseOf } from '../transport.ts';
import type { LockMethod } from './lock-stream.ts';

/** One RPC: its path, and how its messages are written and read. */
interface Rpc<Request, Response> {
  readonly path: string;
  readonly encode: (request: Request) => Buffer;
  readonly decode: (bytes: Buffer) => Response;
}

interface Writer<T> {
  encode(message: T): { finish(): Uint8Array };
}
interface Reader<T> {
  decode(bytes: Uint8Array): T;
}

function rpc<Request, Response>(path: string, request: Writer<Request>, response: Reader<Response>): Rpc<Request, Response> {
  return { path, encode: message => Buffer.from(request.encode(message).finish()), decode: bytes => response.decode(bytes) };
}

export type UnaryMethod = Exclude<Method, LockMethod>;

export const RPCS: { readonly [M in UnaryMethod]: Rpc<RequestOf<M>, ResponseOf<M>> } = {
  setMany: rpc('/KeyValuer/TrySetManyKeyValue', kv.GrpcTrySetManyKeyValueRequest, kv.GrpcTrySetManyKeyValueResponse),
  deleteMany: rpc('/KeyValuer/TryDeleteManyKeyValue', kv.GrpcTryDeleteManyKeyValueRequest, kv.GrpcTryDeleteManyKeyValueResponse),
  getMany: rpc('/KeyValuer/TryGetManyValues', kv.GrpcTryGetManyValuesRequest, kv.GrpcTryGetManyValuesResponse),
  existsMany: rpc('/KeyValuer/TryExistsManyValues', kv.GrpcTryExistsManyValuesRequest, kv.GrpcTryExistsManyValuesResponse),
  getByBucket: rpc('/KeyValuer/GetByBucket', kv.GrpcGetByBucketRequest, kv.GrpcGetByBucketResponse),
  getByRange: rpc('/KeyValuer/GetByRange', kv.GrpcGetByRangeRequest, kv.GrpcGetByRangeResponse),
  scanAllByPrefix: rpc('/KeyValuer/ScanAllByPrefix', kv.GrpcScanAllByPrefixRequest, kv.GrpcScanAllByPrefixResponse),
  acquireHold: rpc('/KeyValuer/AcquireSnapshotHold', kv.GrpcAcquireSnapshotHoldRequest, kv.GrpcAcquireSnapshotHoldResponse),
  renewHold: rpc('/KeyValuer/RenewSnapshotHold', kv.GrpcRenewSnapshotHoldRequest, kv.GrpcRenewSnapshotHoldResponse),
  releaseHold: rpc('/KeyValuer/ReleaseSnapshotHold', kv.GrpcReleaseSnapshotHoldRequest, kv.GrpcReleaseSnapshotHoldResponse),
  snapshotFloor: rpc('/KeyValuer/GetSnapshotFloor', kv.GrpcGetSnapshotFloorRequest, kv.GrpcGetSnapshotFloorResponse),
  createSequence: rpc('/Sequencer/CreateSequence', sequences.GrpcCreateSequenceRequest, sequences.GrpcSequenceResponse),
  getSequence: rpc('/Sequencer/GetSequence', sequences.GrpcGetSequenceRequest, sequences.GrpcSequenceResponse),
  updateSequence: rpc('/Sequencer/UpdateSequence', sequences.GrpcUpdateSequenceRequest, sequences.GrpcSequenceResponse),
  deleteSequence: rpc('/Sequencer/DeleteSequence', sequences.GrpcDeleteSequenceRequest, sequences.GrpcSequenceResponse),
  nextValue: rpc('/Sequencer/NextSequenceValue', sequences.GrpcNextSequenceRequest, sequences.GrpcSequenceAllocationResponse),
  reserveRange: rpc(
    '/Sequencer/ReserveSequenceRange',
    sequences.GrpcReserveSequenceRangeRequest,
    sequences.GrpcSequenceAllocationResponse,
  ),
  membership: rpc('/Cluster/GetMembership', cluster.GrpcGetMembershipRequest, cluster.GrpcGetMembershipResponse),
  routing: rpc(
    '/Cluster/GetRoutingMetadata',
    routingMessages.GrpcGetRoutingMetadataRequest,
    routingMessages.GrpcGetRoutingMetadataResponse,
  ),
};

export const RANGE_STREAM = rpc('/KeyValuer/GetByRangeStream', kv.GrpcGetByRangeRequest, kv.GrpcGetByRangePageResponse);

export const WATCH_STREAM = rpc('/Watcher/Watch', watches.GrpcWatchRequest, watches.GrpcWatchResponse);
