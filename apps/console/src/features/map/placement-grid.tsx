import { Link, useNavigate } from '@tanstack/react-router';
import { type FocusEvent, type KeyboardEvent, memo, type PointerEvent, useEffect, useRef, useState } from 'react';
import type { MapColour } from '../../app/search.ts';
import { integer, plural } from '../../format/numbers.ts';
import { type Feed, type SourceFreshness, useFeed, useFreshness, useKeys, useRow, useRows } from '../../live/use-live.ts';
import type { NodeRow, PartitionRow } from '../../protocol/messages.ts';
import { StaleNote } from '../../ui/ages.tsx';
import { Mark } from '../../ui/marks.tsx';
import { NODE_TONE, NODE_WORD } from '../nodes/nodes-table.tsx';
import { CellCard } from './cell-card.tsx';
import { cellOf, type Group, paintOf } from './cell-model.ts';
import { slideLeader } from './slide.ts';

interface GridProps {
  readonly feed: Feed<PartitionRow>;
  readonly groups: readonly Group[];
  readonly colour: MapColour;
}

/** More partitions than this are drawn without their numbers. */
const NUMBERED_UP_TO = 200;

interface Spot {
  readonly partitionId: string;
  readonly nodeId: number;
  readonly element: HTMLElement;
}

/**
 * Partitions × nodes: a group is a row, a node a column of blocks, a replica a cell. One partition has the same place in every block,
 * so that a pattern across nodes can be seen. One tab stop; arrow keys walk the cells.
 */
export function PlacementGrid({ feed, groups, colour }: GridProps) {
  const nodes = useFeed('nodes');
  const nodeIds = useKeys(nodes).map(Number);
  const [spot, setSpot] = useState<Spot>();
  const grid = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  useLeaderSlides(feed, grid);
  const total = groups.reduce((n, g) => n + g.partitionIds.length, 0);
  const first = groups[0]?.partitionIds[0];

  const point = (event: PointerEvent | FocusEvent) => setSpot(spotOf(event.target));
  const onKeyDown = (event: KeyboardEvent) => {
    const here = spotOf(event.target);
    if (here === undefined) return;
    if (event.key === 'Enter') void navigate({ to: '/partitions/$id', params: { id: here.partitionId } });
    if (event.key === 'Escape') setSpot(undefined);
    const next = neighbour(event.key, here, groups, nodeIds);
    if (next === undefined) return;
    event.preventDefault();
    grid.current?.querySelector<HTMLElement>(`[data-p="${next.partitionId}"][data-n="${next.nodeId}"]`)?.focus();
  };

  return (
    <div className="scroll-x">
      {/* biome-ignore lint/a11y/useSemanticElements: a table cannot hold the blocks of cells this layout needs */}
      <div
        ref={grid}
        className="placement"
        role="grid"
        tabIndex={-1}
        aria-label="Placement of partitions on nodes"
        data-colour={colour}
        data-numbered={total <= NUMBERED_UP_TO}
        style={{ gridTemplateColumns: `minmax(74px, max-content) repeat(${nodeIds.length}, minmax(150px, 1fr))` }}
        onPointerOver={point}
        onPointerLeave={() => setSpot(undefined)}
        onFocus={point}
        onBlur={() => setSpot(undefined)}
        onKeyDown={onKeyDown}
      >
        {/* biome-ignore lint/a11y/useSemanticElements: see above */}
        {/* biome-ignore lint/a11y/useFocusableInteractive: the cells take the focus */}
        <div className="placement-row head" role="row">
          {/* biome-ignore lint/a11y/useSemanticElements: see above */}
          {/* biome-ignore lint/a11y/useFocusableInteractive: the cells take the focus */}
          <div className="corner" role="columnheader">
            <span className="visually-hidden">group</span>
          </div>
          {nodeIds.map(id => (
            <NodeHead key={id} nodes={nodes} nodeId={id} />
          ))}
        </div>
        {groups.map(group => (
          // biome-ignore lint/a11y/useSemanticElements: see above
          // biome-ignore lint/a11y/useFocusableInteractive: the cells take the focus
          <div key={group.id} className="placement-row" role="row">
            {/* biome-ignore lint/a11y/useSemanticElements: see above */}
            {/* biome-ignore lint/a11y/useFocusableInteractive: the cells take the focus */}
            <div className="group" role="rowheader">
              {group.title}
              <span className="muted small">{idSpan(group.partitionIds)}</span>
            </div>
            {nodeIds.map(nodeId => (
              <NodeBlock
                key={nodeId}
                feed={feed}
                nodes={nodes}
                nodeId={nodeId}
                nodeIds={nodeIds}
                partitionIds={group.partitionIds}
                colour={colour}
                tabStop={nodeId === nodeIds[0] ? first : undefined}
              />
            ))}
          </div>
        ))}
      </div>
      {spot !== undefined && <CellCard feed={feed} partitionId={spot.partitionId} nodeId={spot.nodeId} anchor={spot.element} />}
    </div>
  );
}

function NodeHead({ nodes, nodeId }: { nodes: Feed<NodeRow>; nodeId: number }) {
  const node = useRow(nodes, String(nodeId));
  const freshness = useFreshness(nodeId);
  if (node === undefined) return null;
  return (
    // biome-ignore lint/a11y/useSemanticElements: part of the grid above
    // biome-ignore lint/a11y/useFocusableInteractive: the cells take the focus
    <div className="node-head" role="columnheader" data-stale={freshness.level}>
      <Mark tone={NODE_TONE[node.state]} size={10} label={NODE_WORD[node.state]} />
      <Link to="/nodes/$id" params={{ id: String(nodeId) }}>
        {node.name}
      </Link>
      <span className="muted small" data-testid={`map-leads-${node.name}`}>
        leads {integer(node.leads)} of {integer(node.hosts)}
      </span>
      <StaleNote freshness={freshness} />
    </div>
  );
}

interface BlockProps {
  readonly feed: Feed<PartitionRow>;
  readonly nodes: Feed<NodeRow>;
  readonly nodeId: number;
  readonly nodeIds: readonly number[];
  readonly partitionIds: readonly string[];
  readonly colour: MapColour;
  readonly tabStop: string | undefined;
}

function NodeBlock({ feed, nodes, nodeId, nodeIds, partitionIds, colour, tabStop }: BlockProps) {
  const node = useRow(nodes, String(nodeId));
  const freshness = useFreshness(nodeId);
  const reachable = node === undefined || node.state === 'self' || node.state === 'live' || node.state === 'unknown';
  const order = nodeIds.join();
  return (
    <div className="block" role="presentation">
      {partitionIds.map(partitionId => (
        <ReplicaCell
          key={partitionId}
          feed={feed}
          partitionId={partitionId}
          nodeId={nodeId}
          nodeName={node?.name ?? `node ${nodeId}`}
          nodeOrder={order}
          reachable={reachable}
          staleness={freshness.level}
          colour={colour}
          tabStop={tabStop === partitionId}
        />
      ))}
    </div>
  );
}

interface CellProps {
  readonly feed: Feed<PartitionRow>;
  readonly partitionId: string;
  readonly nodeId: number;
  readonly nodeName: string;
  /** Node ids in order as text, so that an equal list is an equal property. */
  readonly nodeOrder: string;
  readonly reachable: boolean;
  readonly staleness: SourceFreshness['level'];
  readonly colour: MapColour;
  readonly tabStop: boolean;
}

const ReplicaCell = memo(function ReplicaCell(props: CellProps) {
  const row = useRow(props.feed, props.partitionId);
  if (row === undefined) return null;
  const cell = cellOf(row, props.nodeId, props.reachable, props.staleness);
  const paint = paintOf(props.colour, row, cell, props.nodeId, props.nodeOrder.split(',').map(Number));
  return (
    // biome-ignore lint/a11y/useSemanticElements: part of the grid above
    <div
      className="cell"
      role="gridcell"
      tabIndex={props.tabStop ? 0 : -1}
      aria-label={`partition ${props.partitionId} ${props.nodeName} ${cell.word}`}
      data-p={props.partitionId}
      data-n={props.nodeId}
      data-state={cell.state}
      data-moving={cell.moving || undefined}
      data-stale={cell.stale || undefined}
      data-ink={paint.ink}
      data-letter={paint.letter}
      style={paint.background === undefined ? undefined : { background: paint.background }}
    />
  );
});

/** When a leader changes, its mark slides from node to node (console §6.2). */
function useLeaderSlides(feed: Feed<PartitionRow>, grid: React.RefObject<HTMLDivElement | null>): void {
  const rows = useRows(feed);
  const before = useRef(new Map<number, number>());
  useEffect(() => {
    for (const row of rows) {
      const now = row.leader?.nodeId;
      const from = before.current.get(row.partitionId);
      if (now === undefined) continue;
      if (from !== undefined && from !== now && grid.current !== null) slideLeader(grid.current, row.partitionId, from, now);
      before.current.set(row.partitionId, now);
    }
  }, [rows, grid]);
}

function spotOf(target: EventTarget): Spot | undefined {
  const element = target instanceof Element ? target.closest<HTMLElement>('[data-p]') : null;
  if (element === null) return undefined;
  return { partitionId: element.getAttribute('data-p') ?? '', nodeId: Number(element.getAttribute('data-n')), element };
}

/** Left and right walk the partitions of a node, and on into the next node; up and down change the group. */
function neighbour(
  key: string,
  here: Spot,
  groups: readonly Group[],
  nodeIds: readonly number[],
): { readonly partitionId: string; readonly nodeId: number } | undefined {
  const groupAt = groups.findIndex(g => g.partitionIds.includes(here.partitionId));
  const group = groups[groupAt];
  if (group === undefined) return undefined;
  const index = group.partitionIds.indexOf(here.partitionId);
  const nodeAt = nodeIds.indexOf(here.nodeId);
  const at = (g: Group | undefined, i: number, n: number) => {
    const partitionId = g?.partitionIds[i];
    const nodeId = nodeIds[n];
    return partitionId === undefined || nodeId === undefined ? undefined : { partitionId, nodeId };
  };
  switch (key) {
    case 'ArrowRight':
      return at(group, index + 1, nodeAt) ?? at(group, 0, nodeAt + 1);
    case 'ArrowLeft':
      return at(group, index - 1, nodeAt) ?? at(group, group.partitionIds.length - 1, nodeAt - 1);
    case 'ArrowDown':
      return at(groups[groupAt + 1], 0, nodeAt);
    case 'ArrowUp':
      return at(groups[groupAt - 1], 0, nodeAt);
    case 'Home':
      return at(group, 0, nodeAt);
    case 'End':
      return at(group, group.partitionIds.length - 1, nodeAt);
    default:
      return undefined;
  }
}

function idSpan(ids: readonly string[]): string {
  return ids.length === 1 ? `P${ids[0]}` : `P${ids[0]}…${ids[ids.length - 1]} · ${plural(ids.length, 'partition')}`;
}
