import '@mantine/spotlight/styles.css';
import { Spotlight, type SpotlightActionData } from '@mantine/spotlight';
import { IconAffiliate, IconServer2 } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useFeed, useKeys, useRows } from '../live/use-live.ts';
import { PAGES } from './pages.ts';

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
      nothingFound="Nothing by that name"
      searchProps={{ placeholder: 'Go to a page, node or partition', 'aria-label': 'Go to' }}
    />
  );
}
