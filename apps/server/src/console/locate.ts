import type { RoutingView } from '@kahuna/node';
import { compareOrdinal, keySpaceOf, partitionForKey } from '@kahuna/range-router';
import type { ClusterView } from './view.ts';

/** Which partition serves a key, as the serving node would route it now. */
export interface Location {
  readonly key: string;
  readonly keySpace: string;
  readonly routing: 'Hash' | 'KeyRange';
  /** null: the routing table has no answer, e.g. before the node is initialised or inside a gap. */
  readonly partitionId: number | null;
  readonly generation: string | null;
  readonly leaderNodeId: number | null;
}

/** Answers `GET /v1/console/locate` (console §17); the same choice as routing §3 and §4 make for an operation. */
export function locate(key: string, routing: RoutingView, view: ClusterView): Location {
  const keySpace = keySpaceOf(key);
  const ranged = routing.keySpaces.find(space => space.keySpace === keySpace && space.mode === 'KeyRange');
  const range = ranged?.ranges.find(
    r =>
      (r.startKey === null || compareOrdinal(r.startKey, key) <= 0) && (r.endKey === null || compareOrdinal(key, r.endKey) < 0),
  );
  const hashed = ranged === undefined && routing.initialized ? partitionForKey(key, routing.poolSize) : undefined;
  const partitionId = range?.partitionId ?? hashed ?? null;
  return {
    key,
    keySpace,
    routing: ranged === undefined ? 'Hash' : 'KeyRange',
    partitionId,
    generation: range === undefined ? null : String(range.generation),
    leaderNodeId: view.partitions.find(p => p.partitionId === partitionId)?.leader?.nodeId ?? null,
  };
}
