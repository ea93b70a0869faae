import { useEffect, useState } from 'react';
import { ageText, instant } from '../format/time.ts';
import { useConnection, useLive, useNow } from '../live/use-live.ts';
import { Mark } from '../ui/marks.tsx';
import { usePreferences } from './preferences.ts';

const LEAVE_AFTER_S = 10;

/** What the page says while it shows the past (console §4.3). Values stay on the screen below it. */
export function ConnectionBand() {
  const { state, lastFrameMs, welcome, peer } = useConnection();
  const { connection } = useLive();
  const now = useNow();
  const { zone } = usePreferences();
  const node = welcome?.node.name ?? 'the node';
  if (state === 'outdated') {
    return (
      <div className="band" role="status">
        <Mark tone="info" />
        <span>The node runs a newer version of this console.</span>
        <span className="space" />
        <button type="button" className="text-button" onClick={() => window.location.reload()}>
          Reload to update
        </button>
      </div>
    );
  }
  if (state === 'leaving' && peer !== undefined) return <LeavingBand from={node} name={peer.name} url={peer.url} />;
  if (state !== 'reconnecting' && state !== 'offline' && state !== 'refused') return null;
  const shown =
    lastFrameMs === undefined ? '' : `Showing ${instant(lastFrameMs, now, zone)}, ${ageText(now - lastFrameMs)} ago. `;
  return (
    <div className="band" data-tone="moving" role="status">
      <Mark tone="moving" />
      <span>
        {shown}
        {state === 'offline' ? `No answer from ${node}; trying every 15 s.` : `Reconnecting to ${node}…`}
      </span>
      <span className="space" />
      <button type="button" className="text-button" onClick={() => connection.retryNow()}>
        Try now
      </button>
    </div>
  );
}

/** The same page on another node. */
function sameUrlOn(consoleUrl: string): string {
  const { pathname, search, hash } = window.location;
  return new URL(`${pathname}${search}${hash}`, consoleUrl).href;
}

function LeavingBand({ from, name, url }: { from: string; name: string; url: string }) {
  const [left, setLeft] = useState(LEAVE_AFTER_S);
  const [stayed, setStayed] = useState(false);
  const target = sameUrlOn(url);
  useEffect(() => {
    if (stayed) return;
    const timer = window.setInterval(() => setLeft(s => s - 1), 1000);
    return () => window.clearInterval(timer);
  }, [stayed]);
  useEffect(() => {
    // Whoever is typing, or decides about something, is not moved away from it.
    if (left <= 0 && !stayed && !isBusy()) window.location.assign(target);
  }, [left, stayed, target]);
  return (
    <div className="band" data-tone="moving" role="status">
      <Mark tone="moving" />
      <span>
        {from} is gone. {name} shows the same page
        {stayed ? '.' : `; going there in ${Math.max(0, left)} s.`}
      </span>
      <span className="space" />
      <a className="text-button" href={target}>
        Go to {name}
      </a>
      {!stayed && (
        <button type="button" className="text-button" onClick={() => setStayed(true)}>
          Stay
        </button>
      )}
    </div>
  );
}

function isBusy(): boolean {
  if (document.querySelector('[role="dialog"]') !== null) return true;
  const active = document.activeElement;
  return (active instanceof HTMLInputElement || active instanceof HTMLTextAreaElement) && active.value !== '';
}
