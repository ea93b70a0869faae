import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';
import { ageText, instant } from '../format/time.ts';
import type { ConnectionState } from '../live/connection-state.ts';
import { useConnection, useFeed, useFreeze, useNow, useRow, useWaitingRows } from '../live/use-live.ts';
import { Mark, type Tone } from '../ui/marks.tsx';
import { usePreferences } from './preferences.ts';
import { showFavicon, VERDICT_TONE } from './verdict.ts';

/** The verdict in one word, on every page. */
export function HealthPill() {
  const overview = useRow(useFeed('overview'), 'overview');
  const tone = overview === undefined ? 'unknown' : VERDICT_TONE[overview.verdict];
  useEffect(() => showFavicon(tone), [tone]);
  const nodes = overview === undefined ? '' : `${overview.nodes.reachable}/${overview.nodes.voters}`;
  const word = overview?.verdict ?? 'not known yet';
  return (
    <Link
      to="/"
      className="pill"
      data-tone={tone}
      data-verdict={overview?.verdict}
      title={overview?.sentence ?? 'Waiting for the first report'}
    >
      <Mark tone={tone} />
      <span>
        <span className="visually-hidden">Health: </span>
        {word} <span className="muted">{nodes}</span>
      </span>
    </Link>
  );
}

const LIVE_TONE: Readonly<Record<ConnectionState, Tone>> = {
  connecting: 'unknown',
  live: 'good',
  lagging: 'warning',
  reconnecting: 'moving',
  leaving: 'moving',
  offline: 'critical',
  refused: 'critical',
  outdated: 'info',
};

/** The state of the connection in words (console §4.3); opens the diagnosis. */
export function LivePill() {
  const connection = useConnection();
  const { frozen, waiting } = useFreeze();
  const rows = useWaitingRows();
  const now = useNow();
  const { zone } = usePreferences();
  const { state, peer, lastFrameMs, welcome } = connection;
  const away = lastFrameMs === undefined ? '' : ` · ${ageText(now - lastFrameMs)}`;
  const words: Readonly<Record<ConnectionState, string>> = {
    connecting: 'connecting',
    live: 'live',
    lagging: 'lagging',
    reconnecting: `reconnecting${away}`,
    leaving: `${welcome?.node.name ?? 'the node'} is gone · go to ${peer?.name ?? 'another node'}`,
    offline: `offline since ${instant(lastFrameMs, now, zone)}`,
    refused: 'sign in',
    outdated: 'new version',
  };
  const isFrozen = frozen && (state === 'live' || state === 'lagging');
  const held = rows === 0 ? '' : ` · ${rows === 1 ? '1 row waits' : `${rows} rows wait`}`;
  const word = isFrozen ? `frozen · ${waiting === 1 ? '1 change waiting' : `${waiting} changes waiting`}` : words[state] + held;
  const tone = isFrozen ? 'info' : LIVE_TONE[state];
  return (
    <Link
      to="/settings/$tab"
      params={{ tab: 'connection' }}
      className="pill"
      data-tone={tone}
      data-state={isFrozen ? 'frozen' : state}
      aria-label={`Connection: ${word}`}
      title={held === '' ? undefined : 'Lists stand still under the pointer: rows that came or went show when it leaves them'}
    >
      <Mark tone={tone} size={10} />
      <span>{word}</span>
    </Link>
  );
}
