import { useFeed, useRows } from '../../live/use-live.ts';

/** Name of a node, `–` for none. */
export function useNodeName(nodeId: number | null): string {
  const nodes = useRows(useFeed('nodes'));
  return nodeId === null ? '–' : (nodes.find(n => n.nodeId === nodeId)?.name ?? `node ${nodeId}`);
}
