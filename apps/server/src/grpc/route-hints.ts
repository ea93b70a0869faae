import type { Clock } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import type { OperationResult, Route } from '@kahuna/partition';
import { type RouteTable, routingMessages } from '@kahuna/wire';
import type { HintOptions } from './grpc-settings.ts';

const { GrpcRouteHint, GrpcRouteProvenance } = routingMessages;

/** How long a hint may name the URL that a member had before. Hints are advisory: a wrong one costs a forward. Milliseconds. */
const URLS_FRESH_MS = 1000;

interface EncodedHint {
  readonly nodeId: number;
  readonly generation: number;
  readonly bytes: Uint8Array;
}

/** Turns where an operation was served into the `GrpcRouteHint` that the client gets (grpc §4.9), encoded once per partition. */
export class RouteHints {
  private readonly node: KahunaNode;
  private readonly clock: Clock;
  private readonly options: HintOptions;
  /** By partition, twice: served here, and forwarded. */
  private readonly encoded = new Map<number, EncodedHint>();
  private freshUntilMs = Number.NEGATIVE_INFINITY;
  private urls: ReadonlyMap<number, string> = new Map();

  constructor(node: KahunaNode, clock: Clock, options: HintOptions) {
    this.node = node;
    this.clock = clock;
    this.options = options;
  }

  /** Undefined where the answer carries no hint. `nowMs`: monotonic, for who has read the clock already. */
  hint(route: Route | undefined, nowMs = this.clock.monotonicMs()): Uint8Array | undefined {
    if (route === undefined || this.options.disabled) return undefined;
    if (nowMs >= this.freshUntilMs) this.refreshUrls();
    const slot = route.partitionId * 2 + (route.forwarded ? 1 : 0);
    const known = this.encoded.get(slot);
    if (known !== undefined && known.nodeId === route.nodeId && known.generation === route.generation) return known.bytes;
    const bytes = this.encode(route);
    this.encoded.set(slot, { nodeId: route.nodeId, generation: route.generation, bytes });
    return bytes;
  }

  /** The distinct hints of a multi-key answer, and which one each item has. */
  table(results: readonly OperationResult[]): RouteTable {
    const hints: Uint8Array[] = [];
    const positions = new Map<Uint8Array, number>();
    const indexes = results.map(result => {
      const bytes = this.hint(result.route);
      if (bytes === undefined) return 0;
      const known = positions.get(bytes);
      if (known !== undefined) return known;
      hints.push(bytes);
      positions.set(bytes, hints.length);
      return hints.length;
    });
    return { hints, indexes };
  }

  private encode(route: Route): Uint8Array {
    return GrpcRouteHint.encode({
      PartitionId: route.partitionId,
      Endpoint: this.endpoint(route),
      Provenance: route.forwarded
        ? GrpcRouteProvenance.ROUTE_PROVENANCE_FORWARDED
        : GrpcRouteProvenance.ROUTE_PROVENANCE_EXECUTED,
      Generation: BigInt(route.generation),
    }).finish();
  }

  private endpoint(route: Route): string {
    if (!route.forwarded) return this.options.localUrl;
    return this.options.hidePeers ? '' : (this.urls.get(route.nodeId) ?? '');
  }

  private refreshUrls(): void {
    const urls = new Map(this.node.membership().members.map(member => [member.nodeId, member.clientUrl]));
    const changed = urls.size !== this.urls.size || [...urls].some(([nodeId, url]) => this.urls.get(nodeId) !== url);
    if (changed) this.encoded.clear();
    this.urls = urls;
    this.freshUntilMs = this.clock.monotonicMs() + URLS_FRESH_MS;
  }
}
