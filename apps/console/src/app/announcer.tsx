import { useEffect, useRef, useState } from 'react';
import { isDown } from '../live/connection-state.ts';
import { useConnection, useFeed, useRows } from '../live/use-live.ts';
import { OPERATION_TITLE } from '../operations/kinds.ts';
import type { OperationReport } from '../protocol/messages.ts';

const AT_MOST_EVERY_MS = 5_000;

/** The page's one polite live region: connection changes, new critical problems and ends of operations, never values (console §9.1). */
export function Announcer() {
  const { state } = useConnection();
  const critical = useRows(useFeed('problems')).filter(p => p.severity === 'critical');
  const newest = critical.map(p => p.title).join('. ');
  const [text, setText] = useState('');
  const saidAt = useRef(0);
  const openedMs = useRef(Date.now());
  const operations = useRows(useFeed('operations'));
  const latest = operations.reduce<OperationReport | undefined>(
    (last, o) => (o.endedMs !== null && o.endedMs > openedMs.current && o.endedMs > (last?.endedMs ?? 0) ? o : last),
    undefined,
  );
  const ended = latest === undefined ? '' : `${OPERATION_TITLE[latest.kind]} ${latest.subject}: ${latest.outcome}`;
  const connection = isDown(state) ? 'Connection lost, reconnecting' : state === 'live' ? 'Live' : '';
  useEffect(() => {
    const wait = Math.max(0, saidAt.current + AT_MOST_EVERY_MS - performance.now());
    const timer = window.setTimeout(() => {
      saidAt.current = performance.now();
      setText([connection, newest, ended].filter(part => part !== '').join('. '));
    }, wait);
    return () => window.clearTimeout(timer);
  }, [connection, newest, ended]);
  return (
    <div className="visually-hidden" aria-live="polite">
      {text}
    </div>
  );
}
