import { type ClusterView, isReachable } from './view.ts';

export interface Move {
  readonly partitionId: number;
  readonly from: number;
  readonly to: number;
}

/** How many partitions each reachable node leads, by node id. */
export function spreadOf(view: ClusterView): ReadonlyMap<number, number> {
  const spread = new Map<number, number>();
  for (const node of view.nodes) if (isReachable(node.state) && node.role === 'Voter') spread.set(node.nodeId, 0);
  for (const { leader } of view.partitions) {
    const leads = leader === null ? undefined : spread.get(leader.nodeId);
    if (leader !== null && leads !== undefined) spread.set(leader.nodeId, leads + 1);
  }
  return spread;
}

/**
 * The fewest moves after which no node leads two partitions more than another that could lead one of them. Greedy: each partition of
 * a node that leads too many goes to the node with the fewest among those that may have it; lower partition ids first, so that two
 * looks at the same view give the same plan. A replica that lags by more than `maxBehind` entries is no candidate.
 */
export function planMoves(
  view: ClusterView,
  maxBehind: number,
): { readonly moves: readonly Move[]; readonly after: ReadonlyMap<number, number> } {
  const after = new Map(spreadOf(view));
  const moves: Move[] = [];
  const led = view.partitions.filter(p => p.leader !== null && !p.flags.includes('last-known-leader'));
  const byLeader = [...led].sort((a, b) => a.partitionId - b.partitionId);
  for (const { partitionId, leader, replicas } of byLeader) {
    const from = leader?.nodeId ?? 0;
    const leads = after.get(from);
    if (leads === undefined) continue;
    let to: number | undefined;
    for (const { nodeId, role, lag } of replicas) {
      const others = after.get(nodeId);
      const fits = nodeId !== from && role === 'Voter' && (lag === null || Number(lag) <= maxBehind);
      if (!fits || others === undefined || others + 1 >= leads) continue;
      if (to === undefined || others < (after.get(to) as number)) to = nodeId;
    }
    if (to === undefined) continue;
    after.set(from, leads - 1);
    after.set(to, (after.get(to) as number) + 1);
    moves.push({ partitionId, from, to });
  }
  return { moves, after };
}
