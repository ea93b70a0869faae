import { IconChevronDown, IconChevronRight, IconDatabase, IconFolder } from '@tabler/icons-react';
import { useState } from 'react';
import { integer } from '../../format/numbers.ts';
import { useFeed, usePhase, useRows, useWindow } from '../../live/use-live.ts';
import type { DurabilityName, TreeRow } from '../../protocol/messages.ts';
import { Panel } from '../../ui/panel.tsx';
import { ReadProblem } from '../../ui/read-problem.tsx';
import { Waiting } from '../../ui/waiting.tsx';

interface SpaceTreeProps {
  readonly durability: DurabilityName;
  readonly chosen: string | undefined;
  readonly onChoose: (path: string) => void;
}

/** Key spaces by the segments of their names; each level is read when it is opened. */
export function SpaceTree({ durability, chosen, onChoose }: SpaceTreeProps) {
  return (
    <Panel title="Key spaces" className="space-tree" aside={<span className="muted small">{durability}</span>}>
      <Level level="" depth={0} durability={durability} chosen={chosen} onChoose={onChoose} />
    </Panel>
  );
}

interface LevelProps extends SpaceTreeProps {
  readonly level: string;
  readonly depth: number;
}

function Level({ level, depth, durability, chosen, onChoose }: LevelProps) {
  const feed = useFeed('tree', { prefix: level, durability });
  const rows = useRows(feed);
  const phase = usePhase(feed);
  const window = useWindow(feed);
  if (phase === 'loading') return <Waiting height={depth === 0 ? 160 : 32} what="the key spaces" />;
  if (phase === 'refused') return <p className="note">The key spaces cannot be listed: {feed.store.refusal?.message}.</p>;
  return (
    <>
      <ReadProblem window={window} hasRows={rows.length > 0} />
      {rows.length === 0 && window?.problem === null && (
        <p className="note">
          No {durability} key has been written yet. The first one makes its key space: the part of its name before the last{' '}
          <code>/</code>.
        </p>
      )}
      <ul className="tree" aria-label={level === '' ? 'Key spaces' : `Below ${level}`}>
        {rows.map(row => (
          <Child key={row.path} row={row} depth={depth} durability={durability} chosen={chosen} onChoose={onChoose} />
        ))}
        {window?.next != null && <li className="note small">More key spaces follow; open a key by its name above.</li>}
      </ul>
    </>
  );
}

function Child({ row, depth, durability, chosen, onChoose }: Omit<LevelProps, 'level'> & { readonly row: TreeRow }) {
  const leadsToChosen = chosen?.startsWith(`${row.path}/`) ?? false;
  const [opened, setOpened] = useState<boolean>();
  const isOpen = row.below && (opened ?? leadsToChosen);
  const name = row.name === '' ? '(empty)' : row.name;
  return (
    <li>
      <div className="tree-row" style={{ paddingLeft: 6 + depth * 14 }} data-chosen={chosen === row.path}>
        {row.below ? (
          <button
            type="button"
            className="icon-button small-button"
            aria-expanded={isOpen}
            aria-label={`${isOpen ? 'Close' : 'Open'} ${name}`}
            onClick={() => setOpened(!isOpen)}
          >
            {isOpen ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />}
          </button>
        ) : (
          <span className="tree-gap" />
        )}
        <button
          type="button"
          className="tree-name"
          data-row
          aria-current={chosen === row.path ? 'true' : undefined}
          title={row.path}
          onClick={() => (row.keys === null ? setOpened(!isOpen) : onChoose(row.path))}
        >
          {row.keys === null ? <IconFolder size={14} aria-hidden /> : <IconDatabase size={14} aria-hidden />}
          <span className="mono">{name}</span>
        </button>
        {row.keys !== null && (
          <span className="muted small num" title="keys stored, deleted ones included">
            {row.more ? '≥ ' : ''}
            {integer(row.keys)}
          </span>
        )}
      </div>
      {isOpen && <Level level={`${row.path}/`} depth={depth + 1} durability={durability} chosen={chosen} onChoose={onChoose} />}
    </li>
  );
}
