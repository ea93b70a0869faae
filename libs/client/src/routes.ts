import {
  GROUP_SEPARATOR,
  HASH_ALGORITHM,
  keySpaceOf,
  PlacementCache,
  SPACE_SEPARATOR,
  sequenceStorageKey,
} from '@kahuna/range-router';
import { decodeUtf8, ProtoReader, routingMessages } from '@kahuna/wire';
import type { Endpoint, Endpoints } from './endpoints.ts';

type Metadata = routingMessages.GrpcGetRoutingMetadataResponse;
type Hint = routingMessages.GrpcRouteHint;
const Provenance = routingMessages.GrpcRouteProvenance;

const SCHEMA_VERSION = 1;
const KEY_RANGE_MODE = 'KeyRange';

interface Range {
  /** Empty text where the range begins before every key: no key is smaller. */
  readonly startKey: string;
  readonly partitionId: number;
}

/** The metadata is of a kind that this client can compute with (grpc §10.1); otherwise any node is as good as another. */
function isUsable(metadata: Metadata): boolean {
  return (
    metadata.Initialized &&
    metadata.Coherent &&
    metadata.SchemaVersion === SCHEMA_VERSION &&
    metadata.HashAlgorithm === HASH_ALGORITHM &&
    metadata.PrefixSeparator === SPACE_SEPARATOR &&
    metadata.GroupSeparator === GROUP_SEPARATOR &&
    metadata.HashPoolSize > 0 &&
    metadata.SequenceStorageKeyFormat.endsWith('{0}')
  );
}

/**
 * Who leads which partition, as far as this client has heard: from the routing metadata as a whole, and from the hint that every
 * answer carries. Advice only: any node forwards what is not its own, so a wrong route costs a forward and never an answer.
 */
export class Routes {
  private readonly endpoints: Endpoints;
  private placement: PlacementCache | undefined;
  private offset = 0;
  private ranged: ReadonlyMap<string, readonly Range[]> = new Map();
  /** By partition. */
  private leaders: (Endpoint | undefined)[] = [];
  private readonly reader = new ProtoReader();

  constructor(endpoints: Endpoints) {
    this.endpoints = endpoints;
  }

  /** False where this metadata is of no use. */
  learn(metadata: Metadata): boolean {
    if (!isUsable(metadata)) return false;
    if (this.placement?.poolSize !== metadata.HashPoolSize) this.placement = new PlacementCache(metadata.HashPoolSize);
    this.offset = metadata.HashPartitionOffset;
    this.ranged = new Map(
      metadata.KeySpaces.filter(space => space.RoutingMode === KEY_RANGE_MODE).map(space => [
        space.KeySpace,
        space.Ranges.map(range => ({ startKey: range.StartKey ?? '', partitionId: range.PartitionId })),
      ]),
    );
    this.leaders = [];
    for (const { PartitionId, Endpoint } of metadata.Leaders) this.leaders[PartitionId] = this.endpoints.find(Endpoint);
    return true;
  }

  ofKey(key: string): Endpoint | undefined {
    const { placement } = this;
    if (placement === undefined) return undefined;
    const space = keySpaceOf(key);
    if (this.ranged.size > 0) {
      const ranges = this.ranged.get(space);
      if (ranges !== undefined) return this.leaderOfRange(ranges, key);
    }
    return this.leaders[this.offset + placement.bucketOfSpace(space)];
  }

  /** Locks are placed by the hash alone, also where a key space of that name is range-routed. */
  ofLock(name: string): Endpoint | undefined {
    const { placement } = this;
    return placement && this.leaders[this.offset + placement.bucketOfSpace(keySpaceOf(name))];
  }

  ofSequence(name: string): Endpoint | undefined {
    return this.ofLock(sequenceStorageKey(name.trim()));
  }

  private leaderOfRange(ranges: readonly Range[], key: string): Endpoint | undefined {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle] as Range).startKey <= key) low = middle + 1;
      else high = middle;
    }
    const range = ranges[low - 1];
    return range && this.leaders[range.partitionId];
  }

  /** What an encoded `GrpcRouteHint` says, read without decoding its text unless the request had to be forwarded. */
  hintBytes(bytes: Uint8Array, answeredBy: Endpoint): void {
    const { reader } = this;
    reader.reset(bytes, 0, bytes.length);
    let partitionId = 0;
    let provenance = 0;
    let textStart = 0;
    let textEnd = 0;
    while (reader.more) {
      const tag = reader.tag();
      if (tag === 8) partitionId = reader.int32();
      else if (tag === 24) provenance = reader.int32();
      else if (tag === 18) {
        const length = reader.length();
        textStart = reader.at;
        textEnd = textStart + length;
        reader.at = textEnd;
      } else reader.skip(tag);
    }
    if (provenance === Provenance.ROUTE_PROVENANCE_EXECUTED) this.leaders[partitionId] = answeredBy;
    else if (provenance === Provenance.ROUTE_PROVENANCE_FORWARDED) {
      this.forwarded(partitionId, decodeUtf8(bytes, textStart, textEnd));
    }
  }

  hint(hint: Hint, answeredBy: Endpoint): void {
    if (hint.Provenance === Provenance.ROUTE_PROVENANCE_EXECUTED) this.leaders[hint.PartitionId] = answeredBy;
    else if (hint.Provenance === Provenance.ROUTE_PROVENANCE_FORWARDED) this.forwarded(hint.PartitionId, hint.Endpoint);
  }

  /** A leader that this client has no endpoint for is as good as unknown. */
  private forwarded(partitionId: number, url: string): void {
    this.leaders[partitionId] = this.endpoints.find(url);
  }

  /** Whatever that node led is led by another one now, or by nobody. */
  forget(endpoint: Endpoint): void {
    for (let i = 0; i < this.leaders.length; i++) {
      if (this.leaders[i] === endpoint) this.leaders[i] = undefined;
    }
  }
}
