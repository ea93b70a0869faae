import type { MapColour } from '../../app/search.ts';
import { useFeed, useRows } from '../../live/use-live.ts';
import { NODE_COLOURS, nodeLetter } from './cell-model.ts';

const DECADES = ['none', '< 0.1', '0.1', '1', '10', '100', '1 k', '10 k', '100 k'] as const;
const LAGS = ['0', '', '1', '10', '100', '1 k', '10 k', '100 k', '1 M'] as const;

/** What the cells of the chosen mode mean; always in sight. */
export function Legend({ colour }: { colour: MapColour }) {
  return (
    <ul className="legend" aria-label="Legend">
      {colour === 'role' && <Roles />}
      {colour === 'leader' && <Leaders />}
      {colour === 'load' && <Scale labels={DECADES} what="reads and writes per second, leaders only" />}
      {colour === 'lag' && <Scale labels={LAGS} what="entries behind the leader" />}
    </ul>
  );
}

function Roles() {
  const roles: readonly (readonly [string, string, string])[] = [
    ['leader', 'L', 'leader'],
    ['voter', '', 'voter'],
    ['learner', 'n', 'learner'],
    ['lagging', 'b', 'behind'],
    ['unreachable', '✕', 'unreachable'],
    ['last-known', 'L?', 'last known leader'],
  ];
  return (
    <>
      {roles.map(([state, letter, word]) => (
        <li key={state}>
          <span className="cell sample" data-state={state} aria-hidden="true">
            {letter}
          </span>
          {word}
        </li>
      ))}
      <li>
        <span className="cell sample" data-state="voter" data-moving="true" aria-hidden="true" />
        election
      </li>
      <li>
        <span className="cell sample" data-state="voter" data-stale="true" aria-hidden="true" />
        stale
      </li>
    </>
  );
}

function Leaders() {
  const nodes = useRows(useFeed('nodes'));
  return (
    <>
      {nodes.map((node, i) => (
        <li key={node.nodeId}>
          <span className="cell sample" data-ink="dark" style={{ background: NODE_COLOURS[i] }} aria-hidden="true">
            {nodeLetter(i)}
          </span>
          led by {node.name}
        </li>
      ))}
    </>
  );
}

export function Scale({ labels, what }: { labels: readonly string[]; what: string }) {
  return (
    <>
      {labels.map((label, step) =>
        label === '' ? null : (
          <li key={label}>
            <span className="cell sample" style={{ background: `var(--heat-${step})` }} aria-hidden="true" />
            {label}
          </li>
        ),
      )}
      <li className="muted">{what}</li>
    </>
  );
}
