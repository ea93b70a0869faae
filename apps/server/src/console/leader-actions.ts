import type { OperationCheck, OperationRequest, PartitionRow } from '@kahuna/console/protocol';
import type { Ending, LongAction, LongWork } from './action.ts';
import { type Move, planMoves, spreadOf } from './leader-plan.ts';
import { type ClusterView, isReachable } from './view.ts';

/** A replica further behind is no leader to be: it would have to catch up while nobody can write. Log entries. */
export const MAX_BEHIND = 1_000;
/** A hand-over is over, or has failed, within this time. Milliseconds. */
const MOVE_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 100;

const LOST_WITH_LEADER = 'ephemeral keys and locks of a partition are lost when its leader changes';

type Transfer = Extract<OperationRequest, { kind: 'transfer-leader' }>;

/** Hands the leadership of one partition to another voter (console §7.2). */
export function transferLeader({ params, expect }: Transfer): LongAction {
  const { partitionId, toNodeId } = params;
  return {
    subject: `partition ${partitionId}`,
    durability: null,
    cli: null,
    curl: curlOf('transfer-leader', params, expect),
    look: async world => ({ kind: 'view', view: world.view() }),
    checks: facts => (facts.kind === 'view' ? checksOf(facts.view, params, expect) : []),
    effects: facts =>
      facts.kind === 'view'
        ? [`${nameOf(facts.view, toNodeId)} leads partition ${partitionId}; requests for it wait for a moment`, LOST_WITH_LEADER]
        : [],
    risk: () => 'low',
    run: async (_facts, work) => {
      const moved = await move({ partitionId, from: expect.leaderNodeId, to: toNodeId }, work);
      const now = leaderOf(work.view(), partitionId);
      const leads = now === undefined ? 'nobody leads it now' : `${nameOf(work.view(), now)} leads it`;
      if (moved === 'done') return { outcome: 'done', text: `${nameOf(work.view(), toNodeId)} leads it.`, statusText: null };
      if (moved === 'not-asked') {
        return { outcome: 'refused', text: 'Its leader could not be asked. Nothing was changed.', statusText: null };
      }
      return { outcome: 'unknown', text: `Not yet: ${leads}. It may still happen; look at the partition.`, statusText: null };
    },
  };
}

function checksOf(
  view: ClusterView,
  { partitionId, toNodeId }: Transfer['params'],
  expect: Transfer['expect'],
): OperationCheck[] {
  const row = view.partitions.find(p => p.partitionId === partitionId);
  if (row === undefined) return [{ id: 'partition', ok: false, text: `No node that answers knows a partition ${partitionId}.` }];
  const leader = row.leader?.nodeId;
  const same = leader === expect.leaderNodeId && row.leader?.term === expect.term;
  const name = nameOf(view, toNodeId);
  const replica = row.replicas.find(r => r.nodeId === toNodeId);
  const state = view.nodes.find(n => n.nodeId === toNodeId)?.state ?? 'unknown';
  const behind = replica?.lag == null ? undefined : Number(replica.lag);
  const led = leader === undefined ? 'Nobody leads it now' : `${nameOf(view, leader)} leads it in term ${row.leader?.term}`;
  return [
    { id: 'leader', ok: same, text: same ? `${led}, as you saw it.` : `${led}; you saw something else.` },
    {
      id: 'other',
      ok: leader !== toNodeId,
      text: leader === toNodeId ? `${name} leads it already.` : `${name} does not lead it.`,
    },
    {
      id: 'voter',
      ok: replica?.role === 'Voter',
      text: replica?.role === 'Voter' ? `${name} is a voter.` : `${name} is no voter of it.`,
    },
    { id: 'reachable', ok: isReachable(state), text: isReachable(state) ? `${name} answers.` : `${name} does not answer.` },
    {
      id: 'caught-up',
      ok: behind === undefined || behind <= MAX_BEHIND,
      text:
        behind === undefined
          ? 'How far it is behind is not known here; the leader knows.'
          : `${name} is ${behind} entries behind.`,
    },
  ];
}

/** Moves leaders from those who have more to those who have fewer (console §7.2). */
export function rebalanceLeaders({ params, expect }: Extract<OperationRequest, { kind: 'rebalance-leaders' }>): LongAction {
  return {
    subject: 'all partitions',
    durability: null,
    cli: null,
    curl: curlOf('rebalance-leaders', params, expect),
    look: async world => ({ kind: 'view', view: world.view() }),
    checks: facts => {
      if (facts.kind !== 'view') return [];
      const { moves } = planMoves(facts.view, MAX_BEHIND);
      const text = `Leaders now: ${spreadText(facts.view, spreadOf(facts.view))}.`;
      return [{ id: 'uneven', ok: moves.length > 0, text: moves.length > 0 ? text : `${text} There is nothing to even out.` }];
    },
    effects: facts => {
      if (facts.kind !== 'view') return [];
      const { moves, after } = planMoves(facts.view, MAX_BEHIND);
      if (moves.length === 0) return [];
      const shown = moves.slice(0, 8).map(m => `P${m.partitionId} to ${nameOf(facts.view, m.to)}`);
      const more = moves.length > shown.length ? ` and ${moves.length - shown.length} more` : '';
      return [
        `${moves.length} ${moves.length === 1 ? 'leader moves' : 'leaders move'}: ${shown.join(', ')}${more}`,
        `afterwards: ${spreadText(facts.view, after)}`,
        'one after the other; requests for each wait for a moment',
        LOST_WITH_LEADER,
      ];
    },
    risk: () => 'medium',
    run: (facts, work) => moveAll(facts.kind === 'view' ? planMoves(facts.view, MAX_BEHIND).moves : [], work),
  };
}

async function moveAll(moves: readonly Move[], work: LongWork): Promise<Ending> {
  let done = 0;
  let looked = 0;
  const soFar = (): string =>
    `${done} of ${moves.length} leaders moved. Leaders now: ${spreadText(work.view(), spreadOf(work.view()))}.`;
  for (const each of moves) {
    if (work.signal.aborted) return { outcome: 'cancelled', text: `Stopped: ${soFar()}`, statusText: null };
    // Somebody may have moved it meanwhile: then it is not this plan's any more.
    if (leaderOf(work.view(), each.partitionId) === each.from && (await move(each, work)) === 'done') done++;
    work.progress(++looked, moves.length);
  }
  return { outcome: done === moves.length ? 'done' : 'failed', text: soFar(), statusText: null };
}

/** Asks the leader, and waits until the view shows the new one. */
async function move({ partitionId, to }: Move, work: LongWork): Promise<'done' | 'not-asked' | 'not-seen'> {
  if (!work.node.requestTransfer(partitionId, to)) return 'not-asked';
  const until = work.mono() + MOVE_WITHIN_MS;
  while (work.mono() < until) {
    if (leaderOf(work.view(), partitionId) === to) return 'done';
    await work.pause(LOOK_EVERY_MS);
  }
  return 'not-seen';
}

function leaderOf(view: ClusterView, partitionId: number): number | undefined {
  return view.partitions.find((p: PartitionRow) => p.partitionId === partitionId)?.leader?.nodeId;
}

function nameOf(view: ClusterView, nodeId: number): string {
  return view.nodes.find(n => n.nodeId === nodeId)?.name ?? `node ${nodeId}`;
}

function spreadText(view: ClusterView, spread: ReadonlyMap<number, number>): string {
  return [...spread].map(([nodeId, leads]) => `${nameOf(view, nodeId)} ${leads}`).join(', ');
}

function curlOf(kind: string, params: object, expect: object): string {
  const body = JSON.stringify({ kind, params, expect });
  return `curl -X POST "$KAHUNA/v1/console/operations" -H 'content-type: application/json' -d '${body}'`;
}
