import type { Hlc } from '@kahuna/base';
import {
  clusterMessages,
  type keyValueMessages,
  type lockMessages,
  type routingMessages,
  type sequenceMessages,
} from '@kahuna/wire';
import type { Method, RangePage, ResponseOf } from '../transport.ts';
import type { JsonObject } from './json.ts';

/** One request of the REST API: its path, and how its answer becomes the message of the wire contract. */
interface Route<M extends Method> {
  readonly verb: 'GET' | 'POST';
  readonly path: string;
  readonly response: (json: JsonObject) => ResponseOf<M>;
}

const post = <M extends Method>(path: string, response: (json: JsonObject) => ResponseOf<M>): Route<M> => ({
  verb: 'POST',
  path,
  response,
});
const get = <M extends Method>(path: string, response: (json: JsonObject) => ResponseOf<M>): Route<M> => ({
  verb: 'GET',
  path,
  response,
});

/*
 * Enumerations travel as the same numbers in REST and gRPC (rest §3). A number that is not declared is kept as it is, and whoever
 * reads it answers for what it does not know.
 */
const typeOf = (json: JsonObject) => json.number('type') as keyValueMessages.GrpcKeyValueResponseType;
const lockTypeOf = (json: JsonObject) => json.number('type') as lockMessages.GrpcLockResponseType;
const sequenceTypeOf = (json: JsonObject) => json.number('type') as sequenceMessages.GrpcSequenceResponseType;
const durabilityOf = (json: JsonObject) => json.number('durability') as keyValueMessages.GrpcKeyValueDurability;

function lastModified({ n, l, c }: Hlc) {
  return { LastModifiedNode: n, LastModifiedPhysical: BigInt(l), LastModifiedCounter: c };
}

function expires({ n, l, c }: Hlc) {
  return { ExpiresNode: n, ExpiresPhysical: BigInt(l), ExpiresCounter: c };
}

function leaseExpiry({ n, l, c }: Hlc) {
  return { LeaseExpiryNode: n, LeaseExpiryPhysical: BigInt(l), LeaseExpiryCounter: c };
}

/** REST does not tell when an entry was used last. */
const NEVER_USED = { LastUsedNode: 0, LastUsedPhysical: 0n, LastUsedCounter: 0 } as const;

export function hintOf(json: JsonObject | undefined): routingMessages.GrpcRouteHint | undefined {
  return (
    json && {
      PartitionId: json.number('partitionId'),
      Endpoint: json.text('endpoint'),
      Provenance: json.number('provenance') as routingMessages.GrpcRouteProvenance,
      Generation: json.big('generation'),
    }
  );
}

function hintsOf(json: JsonObject): routingMessages.GrpcRouteHint[] {
  return json.list('routes').map(route => hintOf(route) as routingMessages.GrpcRouteHint);
}

function writeItem(json: JsonObject) {
  return {
    Type: typeOf(json),
    Key: json.text('key'),
    Revision: json.big('revision'),
    ...lastModified(json.hlc('lastModified')),
    Durability: durabilityOf(json),
    RouteIndex: json.number('routeIndex'),
  };
}

function readItem(json: JsonObject) {
  return {
    Type: typeOf(json),
    Key: json.text('key'),
    Durability: durabilityOf(json),
    Value: json.bytes('value'),
    Revision: json.big('revision'),
    ...expires(json.hlc('expires')),
    ...NEVER_USED,
    ...lastModified(json.hlc('lastModified')),
    State: 0 as const,
    RouteIndex: json.number('routeIndex'),
  };
}

function scanItem(json: JsonObject): keyValueMessages.GrpcKeyValueByPrefixItemResponse {
  return {
    Key: json.text('key'),
    Value: json.bytes('value'),
    Revision: json.big('revision'),
    ...expires(json.hlc('expires')),
    ...NEVER_USED,
    ...lastModified(json.hlc('lastModified')),
    State: 1,
  };
}

export function pageOf(json: JsonObject): RangePage {
  return {
    Type: typeOf(json),
    Items: json.list('items').map(scanItem),
    NextCursor: json.optionalText('nextCursor'),
    HasMore: json.bool('hasMore'),
  };
}

const writeMany = (json: JsonObject) => ({
  Items: json.list('items').map(item => ({
    ...writeItem(item),
    HolderTransactionIdNode: 0,
    HolderTransactionIdPhysical: 0n,
    HolderTransactionIdCounter: 0,
  })),
  Routes: hintsOf(json),
  TimeElapsedMs: json.number('timeElapsedMs'),
});
const readMany = (json: JsonObject) => ({ Items: json.list('items').map(readItem), Routes: hintsOf(json) });
const scan = (json: JsonObject) => ({ Type: typeOf(json), Items: json.list('items').map(scanItem) });

const grant = (json: JsonObject) => ({
  Type: lockTypeOf(json),
  FencingToken: json.big('fencingToken'),
  Route: hintOf(json.object('route')),
});

function entryOf(json: JsonObject): sequenceMessages.GrpcSequenceEntry {
  const createdAt = json.hlc('createdAt');
  const updatedAt = json.hlc('updatedAt');
  return {
    Name: json.text('name'),
    CurrentValue: json.big('currentValue'),
    InitialValue: json.big('initialValue'),
    Increment: json.big('increment'),
    MaxValue: json.optionalBig('maxValue'),
    Revision: json.big('revision'),
    Durability: json.number('durability') as sequenceMessages.GrpcSequenceDurability,
    CreatedAtNode: createdAt.n,
    CreatedAtPhysical: BigInt(createdAt.l),
    CreatedAtCounter: createdAt.c,
    UpdatedAtNode: updatedAt.n,
    UpdatedAtPhysical: BigInt(updatedAt.l),
    UpdatedAtCounter: updatedAt.c,
    BlockSize: json.optionalNumber('blockSize'),
    Incarnation: json.big('incarnation'),
  };
}

function definition(json: JsonObject): sequenceMessages.GrpcSequenceResponse {
  const sequence = json.object('sequence');
  return {
    Type: sequenceTypeOf(json),
    Sequence: sequence && entryOf(sequence),
    Revision: json.big('revision'),
    TimeElapsedMs: 0,
    Route: hintOf(json.object('route')),
  };
}

function allocation(json: JsonObject): sequenceMessages.GrpcSequenceAllocationResponse {
  const run = json.object('allocation');
  return {
    Type: sequenceTypeOf(json),
    Allocation: run && {
      Name: run.text('name'),
      Start: run.big('start'),
      End: run.big('end'),
      Count: run.number('count'),
      Revision: run.big('revision'),
    },
    TimeElapsedMs: 0,
    Route: hintOf(json.object('route')),
  };
}

const Role = clusterMessages.GrpcClusterMemberRole;
const ROLES: Readonly<Record<string, clusterMessages.GrpcClusterMemberRole>> = {
  Learner: Role.CLUSTER_MEMBER_ROLE_LEARNER,
  Voter: Role.CLUSTER_MEMBER_ROLE_VOTER,
  Leaving: Role.CLUSTER_MEMBER_ROLE_LEAVING,
};
const roleOf = (text: string) => ROLES[text] ?? Role.CLUSTER_MEMBER_ROLE_NOT_MEMBER;

function metadata(json: JsonObject): routingMessages.GrpcGetRoutingMetadataResponse {
  return {
    Initialized: json.bool('initialized'),
    SchemaVersion: json.number('schemaVersion'),
    HashAlgorithm: json.text('hashAlgorithm'),
    PrefixSeparator: json.text('prefixSeparator'),
    HashPoolSize: json.number('hashPoolSize'),
    HashPartitionOffset: json.number('hashPartitionOffset'),
    SequenceStorageKeyFormat: json.text('sequenceStorageKeyFormat'),
    ReservedKeyPrefix: json.text('reservedKeyPrefix'),
    LocalEndpoint: json.text('localEndpoint'),
    SnapshotVersion: json.big('snapshotVersion'),
    Coherent: json.bool('coherent'),
    KeySpaces: json.list('keySpaces').map(space => ({
      KeySpace: space.text('keySpace'),
      RoutingMode: space.text('routingMode'),
      Ranges: space.list('ranges').map(range => ({
        StartKey: range.optionalText('startKey'),
        EndKey: range.optionalText('endKey'),
        PartitionId: range.number('partitionId'),
        Generation: range.big('generation'),
      })),
    })),
    Leaders: json
      .list('leaders')
      .map(leader => ({ PartitionId: leader.number('partitionId'), Endpoint: leader.text('endpoint') })),
    GroupSeparator: json.text('groupSeparator'),
  };
}

export const ROUTES: { readonly [M in Method]: Route<M> } = {
  setMany: post('/v1/kv/try-set-many', writeMany),
  deleteMany: post('/v1/kv/try-delete-many', writeMany),
  getMany: post('/v1/kv/try-get-many', readMany),
  existsMany: post('/v1/kv/try-exists-many', readMany),
  getByBucket: post('/v1/kv/get-by-bucket', scan),
  getByRange: post('/v1/kv/get-by-range', pageOf),
  scanAllByPrefix: post('/v1/kv/scan-all-by-prefix', scan),
  acquireHold: post('/v1/kv/snapshot-hold/acquire', json => ({
    Type: typeOf(json),
    HoldId: json.text('holdId'),
    ...leaseExpiry(json.hlc('leaseExpiry')),
  })),
  renewHold: post('/v1/kv/snapshot-hold/renew', json => ({ Type: typeOf(json), ...leaseExpiry(json.hlc('leaseExpiry')) })),
  releaseHold: post('/v1/kv/snapshot-hold/release', json => ({ Type: typeOf(json) })),
  snapshotFloor: get('/v1/kv/snapshot-floor', json => {
    const floor = json.hlc('effectiveFloor');
    return {
      Type: typeOf(json),
      EffectiveFloorNode: floor.n,
      EffectiveFloorPhysical: BigInt(floor.l),
      EffectiveFloorCounter: floor.c,
      LiveHolds: json.number('liveHolds'),
    };
  }),
  tryLock: post('/v1/locks/try-lock', grant),
  extendLock: post('/v1/locks/try-extend', grant),
  unlock: post('/v1/locks/try-unlock', json => ({ Type: lockTypeOf(json), Route: hintOf(json.object('route')) })),
  getLock: post('/v1/locks/get-info', json => ({
    ...grant(json),
    Owner: json.bytes('owner'),
    ...expires(json.hlc('expires')),
  })),
  createSequence: post('/v1/sequences/create', definition),
  getSequence: post('/v1/sequences/get', definition),
  updateSequence: post('/v1/sequences/update', definition),
  deleteSequence: post('/v1/sequences/delete', definition),
  nextValue: post('/v1/sequences/next', allocation),
  reserveRange: post('/v1/sequences/reserve', allocation),
  membership: get('/v1/cluster/membership', json => ({
    MembershipVersion: json.big('membershipVersion'),
    Members: json.list('members').map(member => ({
      Endpoint: member.text('endpoint'),
      NodeId: member.number('nodeId'),
      Role: roleOf(member.text('role')),
      JoinedVersion: member.big('joinedVersion'),
    })),
    LocalRole: roleOf(json.text('localRole')),
    Initialized: json.bool('initialized'),
  })),
  routing: get('/v1/cluster/routing', metadata),
};
