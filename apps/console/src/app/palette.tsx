import '@mantine/spotlight/styles.css';
import UFuzzy from '@leeoniya/ufuzzy';
import { Spotlight, type SpotlightActionData, type SpotlightFilterFunction } from '@mantine/spotlight';
import { IconAffiliate, IconKey, IconListNumbers, IconLock, IconServer2 } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useFeed, useKeys, useRows } from '../live/use-live.ts';
import { PAGES } from './pages.ts';
import { subjectToPath } from './subject.ts';

const fuzzy = new UFuzzy();
/** Actions that take what was typed as a name: they stand behind everything that has a name already. */
const TYPED = 'typed-';

/** Best match first; with an empty query everything in its own order. `p17` and `partition 17` both find partition 17. */
function fuzzily(query: string, actions: Parameters<SpotlightFilterFunction>[1]): ReturnType<SpotlightFilterFunction> {
  const known = actions.filter((action): action is SpotlightActionData => 'id' in action);
  if (query.trim() === '') return known;
  const typed = known.filter(action => action.id.startsWith(TYPED));
  return [
    ...best(
      query,
      known.filter(action => !action.id.startsWith(TYPED)),
    ),
    ...typed,
  ];
}

function best(query: string, known: readonly SpotlightActionData[]): SpotlightActionData[] {
  const names = known.map(action => `${action.label ?? ''} ${action.description ?? ''}`);
  const [found, info, order] = fuzzy.search(names, query);
  const places = info === null || order === null ? (found ?? []) : order.map(i => info.idx[i] as number);
  return places.map(i => known[i]).filter(action => action !== undefined);
}

/** As the node routes the key now; null: it does not know, or does not answer. */
async function partitionOf(key: string): Promise<number | null> {
  const answer = await fetch(`/v1/console/locate?key=${encodeURIComponent(key)}`).catch(() => undefined);
  if (answer?.ok !== true) return null;
  const { partitionId } = (await answer.json()) as { readonly partitionId: number | null };
  return partitionId;
}

/** Ctrl/⌘ K: pages, nodes and partitions by name; anything typed can be a key, a lock or a sequence, and a key leads to its partition (console §9.2). */
export function Palette() {
  const navigate = useNavigate();
  const nodes = useRows(useFeed('nodes'));
  const partitions = useKeys(useFeed('partitions'));
  const [query, setQuery] = useState('');
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
  const typed = useMemo((): SpotlightActionData[] => {
    const name = query.trim();
    if (name === '') return [];
    const _splat = subjectToPath(name);
    return [
      {
        id: `${TYPED}key`,
        label: `Open key ${name}`,
        description: 'Key',
        leftSection: <IconKey size={16} />,
        onClick: () => void navigate({ to: '/keys/$', params: { _splat } }),
      },
      {
        id: `${TYPED}lock`,
        label: `Open lock ${name}`,
        description: 'Lock',
        leftSection: <IconLock size={16} />,
        onClick: () => void navigate({ to: '/locks/$durability/$', params: { durability: 'persistent', _splat } }),
      },
      {
        id: `${TYPED}sequence`,
        label: `Open sequence ${name}`,
        description: 'Sequence',
        leftSection: <IconListNumbers size={16} />,
        onClick: () => void navigate({ to: '/sequences/$', params: { _splat } }),
      },
      {
        id: `${TYPED}partition`,
        label: `Which partition serves key ${name}?`,
        description: 'Partition',
        leftSection: <IconAffiliate size={16} />,
        onClick: () =>
          void partitionOf(name).then(id => {
            if (id !== null) void navigate({ to: '/partitions/$id', params: { id: String(id) } });
          }),
      },
    ];
  }, [navigate, query]);
  return (
    <Spotlight
      actions={[...actions, ...typed]}
      query={query}
      onQueryChange={setQuery}
      shortcut={null}
      limit={10}
      overlayProps={{ backgroundOpacity: 0.4, blur: 0 }}
      highlightQuery
      filter={fuzzily}
      nothingFound="Nothing by that name"
      searchProps={{ placeholder: 'Go to a page, node or partition, or type a key, lock or sequence', 'aria-label': 'Go to' }}
    />
  );
}
