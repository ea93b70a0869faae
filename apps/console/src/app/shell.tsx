import { Drawer, Modal, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { spotlight } from '@mantine/spotlight';
import { IconArrowsDiff, IconMenu2, IconMoon, IconPlayerPause, IconPlayerPlay, IconSearch, IconSun } from '@tabler/icons-react';
import { Link, Outlet } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useState } from 'react';
import { isDown } from '../live/connection-state.ts';
import { useConnection, useFeed, useFreeze, useLive, useMarkedAt, useRow } from '../live/use-live.ts';
import { Boundary } from '../ui/panel.tsx';
import { Announcer } from './announcer.tsx';
import { ConnectionBand } from './connection-band.tsx';
import { useHotkeys } from './hotkeys.ts';
import { MarkBand } from './mark-band.tsx';
import { PAGES } from './pages.ts';
import { HealthPill, LivePill } from './pills.tsx';
import { useRowHold } from './row-hold.ts';
import { useSelectionFreeze } from './selection-freeze.ts';
import { StatusBar } from './status-bar.tsx';

const Palette = lazy(() => import('./palette.tsx').then(m => ({ default: m.Palette })));

/** The frame of every page (console §3). */
export function Shell() {
  const { state, welcome } = useConnection();
  const [menuOpen, setMenuOpen] = useState(false);
  const [helpOpen, setHelpOpen] = useState(false);
  const showHelp = useCallback(() => setHelpOpen(true), []);
  useHotkeys(showHelp);
  useSelectionFreeze();
  useRowHold();
  const banner = welcome?.banner;
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to content
      </a>
      {banner !== null && banner !== undefined && (
        <div className="cluster-band" data-tone={banner.tone}>
          {banner.text}
        </div>
      )}
      <header className="top">
        <button type="button" className="icon-button only-narrow" aria-label="Open navigation" onClick={() => setMenuOpen(true)}>
          <IconMenu2 size={18} />
        </button>
        <Link to="/" className="brand" aria-label="Kahuna, overview">
          <Wave />
          <span className="word">kahuna</span>
        </Link>
        <span className="cluster" title="Cluster">
          {welcome?.clusterName ?? '…'}
        </span>
        <HealthPill />
        <span className="space" />
        <button type="button" className="text-button find" onClick={() => spotlight.open()}>
          <IconSearch size={14} aria-hidden />
          <span>Go to key, lock, node…</span>
          <kbd>Ctrl K</kbd>
        </button>
        <MarkButton />
        <FreezeButton />
        <LivePill />
        <ThemeButton />
      </header>
      <nav className="nav" aria-label="Pages">
        <PageLinks />
      </nav>
      <main className="main" id="main" tabIndex={-1} data-down={isDown(state)}>
        <ConnectionBand />
        <MarkBand />
        <Boundary>
          <Suspense fallback={<div className="page" aria-busy="true" />}>
            <Outlet />
          </Suspense>
        </Boundary>
      </main>
      <StatusBar />
      <Announcer />
      <Suspense>
        <Palette />
      </Suspense>
      <Drawer opened={menuOpen} onClose={() => setMenuOpen(false)} size={240} title="Kahuna" padding="sm" className="menu">
        <nav className="nav nav-drawer" aria-label="Pages">
          <PageLinks onChosen={() => setMenuOpen(false)} />
        </nav>
      </Drawer>
      <Modal opened={helpOpen} onClose={() => setHelpOpen(false)} title="Keys" size="sm">
        <Keys />
      </Modal>
    </div>
  );
}

/** A line stands above the first page of each group (console §3). */
const SECTIONS: ReadonlySet<string> = new Set(['/keys', '/partitions', '/settings']);

function PageLinks({ onChosen }: { onChosen?: () => void }) {
  return (
    <>
      {PAGES.map(page => (
        <span key={page.to}>
          {SECTIONS.has(page.to) && <hr />}
          <Tooltip label={page.label} position="right" openDelay={400}>
            <Link to={page.to} activeOptions={{ exact: page.to === '/' }} onClick={() => onChosen?.()}>
              <page.icon className="nav-icon" size={17} stroke={1.6} aria-hidden />
              <span className="label">{page.label}</span>
              {page.to === '/' && <ProblemBadge />}
            </Link>
          </Tooltip>
        </span>
      ))}
    </>
  );
}

function ProblemBadge() {
  const overview = useRow(useFeed('overview'), 'overview');
  if (overview === undefined) return null;
  const { critical, warning } = overview.problems;
  if (critical + warning === 0) return null;
  return (
    <span className="badge" data-severity={critical > 0 ? 'critical' : 'warning'}>
      {critical + warning}
      <span className="visually-hidden"> problems</span>
    </span>
  );
}

function FreezeButton() {
  const client = useLive();
  const { frozen } = useFreeze();
  return (
    <Tooltip label={frozen ? 'Resume live updates (f)' : 'Freeze the page (f)'}>
      <button
        type="button"
        className="icon-button"
        aria-label="Freeze live updates"
        aria-pressed={frozen}
        onClick={() => client.setFrozen(!frozen)}
      >
        {frozen ? <IconPlayerPlay size={16} /> : <IconPlayerPause size={16} />}
      </button>
    </Tooltip>
  );
}

function MarkButton() {
  const client = useLive();
  const marked = useMarkedAt() !== undefined;
  return (
    <Tooltip label={marked ? 'Compare no more (m)' : 'Compare with the values of now (m)'}>
      <button
        type="button"
        className="icon-button only-wide"
        aria-label="Compare with the values of now"
        aria-pressed={marked}
        onClick={() => (marked ? client.unmark() : client.mark())}
      >
        <IconArrowsDiff size={16} />
      </button>
    </Tooltip>
  );
}

function ThemeButton() {
  const scheme = useComputedColorScheme('light');
  const { setColorScheme } = useMantineColorScheme();
  const other = scheme === 'light' ? 'dark' : 'light';
  return (
    <Tooltip label={`Use the ${other} theme`}>
      <button type="button" className="icon-button" aria-label={`Use the ${other} theme`} onClick={() => setColorScheme(other)}>
        {scheme === 'light' ? <IconMoon size={16} /> : <IconSun size={16} />}
      </button>
    </Tooltip>
  );
}

function Keys() {
  const keys: readonly (readonly [string, string])[] = [
    ['Ctrl K', 'go to a page, key, lock, sequence, node or partition'],
    ...PAGES.map(page => [`g ${page.key}`, page.label] as const),
    ['f', 'freeze and resume live updates'],
    ['m', 'compare with the values of now, and end it'],
    ['y', 'copy the name of the row or of what is open'],
    ['/', 'filter of the page'],
    ['arrows', 'move between the cells of the map and of the heat'],
    ['+ − 0', 'on the heat: closer, farther, all of it'],
    ['j k', 'next and previous row'],
    ['[ ]', 'newer and older page of a list'],
    ['c', 'copy the link to this view'],
    ['?', 'this list'],
  ];
  return (
    <table className="grid">
      <tbody>
        {keys.map(([key, what]) => (
          <tr key={key}>
            <th scope="row">
              <kbd>{key}</kbd>
            </th>
            <td>{what}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Wave() {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path
        d="M1.5 13.5c3.2 0 3.4-8.5 9-8.5 3.4 0 5.2 2.2 5.2 4.4 0 1.7-1.1 2.7-2.4 2.7-1.2 0-2-.8-2-1.8M1.5 16.8c4.6 0 5.2-2.2 8.4-2.2 3 0 4.4 2.2 8.6 2.2"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
        strokeLinecap="round"
      />
    </svg>
  );
}
