import '@mantine/spotlight/styles.css';
import UFuzzy from '@leeoniya/ufuzzy';
import { Spotlight, type SpotlightActionData, type SpotlightFilterFunction } from '@mantine/spotlight';
import { IconAffiliate, IconServer2 } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useFeed, useKeys, useRows } from '../live/use-live.ts';
import { PAGES } from './pages.ts';

const fuzzy = new UFuzzy();

/** Best match first; with an empty query everything in its own order. `p17` and `partition 17` both find partition 17. */
function fuzzily(query: string, actions: Parameters<SpotlightFilterFunction>[1]): ReturnType<SpotlightFilterFunction> {
  const known = actions.filter((action): action is SpotlightActionData => 'id' in action);
  if (query.trim() === '') return known;
  const names = known.map(action => `${action.label ?? ''} ${action.description ?? ''}`);
  const [found, info, order] = fuzzy.search(names, query);
  const best = info === null || order === null ? (found ?? []) : order.map(i => info.idx[i] as number);
  return best.map(i => known[i]).filter(action => action !== undefined);
}

/** Ctrl/⌘ K: pages, nodes and partitions by name (console §9.2). */
export function Palette() {
  const navigate = useNavigate();
  const nodes = useRows(useFeed('nodes'));
  const partitions = useKeys(useFeed('partitions'));
  const actions = useMemo(
    (): SpotlightActionData[] => [
      ...PAGES.map(page => ({
        id: page.to,
        label: page.label,
        description: 'Page',
        leftSection: <page.icon size={16} />,
        onClick: () => void navigate({ to: page.to }),
      })),
      ...nodes.map(node => ({
        id: `node-${node.nodeId}`,
        label: node.name,
        description: `Node ${node.nodeId} · ${node.endpoint}`,
        leftSection: <IconServer2 size={16} />,
        onClick: () => void navigate({ to: '/nodes/$id', params: { id: String(node.nodeId) } }),
      })),
      ...partitions.map(id => ({
        id: `partition-${id}`,
        label: `Partition ${id}`,
        description: `p${id}`,
        leftSection: <IconAffiliate size={16} />,
        onClick: () => void navigate({ to: '/partitions/$id', params: { id } }),
      })),
    ],
    [navigate, nodes, partitions],
  );
  return (
    <Spotlight
      actions={actions}
      shortcut={['mod + K']}
      limit={10}
      highlightQuery
      filter={fuzzily}
      nothingFound="Nothing by that name"
      searchProps={{ placeholder: 'Go to a page, node or partition', 'aria-label': 'Go to' }}
    />
  );
}
