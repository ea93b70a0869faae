import '../nodes/nodes.css';
import { SegmentedControl, Switch, useMantineColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { Page } from '../../app/page.tsx';
import { setPreferences, usePreferences } from '../../app/preferences.ts';
import { bytes, integer, millis, signedMillis } from '../../format/numbers.ts';
import { useConnection, useLive, useNow } from '../../live/use-live.ts';
import { Instant } from '../../ui/ages.tsx';
import { Panel } from '../../ui/panel.tsx';

const TABS = [
  ['appearance', 'Appearance'],
  ['connection', 'Connection'],
  ['about', 'About'],
] as const;

export function SettingsPage() {
  const { tab } = useParams({ strict: false });
  const chosen = TABS.find(([id]) => id === tab)?.[0] ?? 'appearance';
  return (
    <Page title="Settings">
      <nav className="tabs" aria-label="Settings">
        {TABS.map(([id, label]) => (
          <Link key={id} to="/settings/$tab" params={{ tab: id }} aria-current={chosen === id ? 'page' : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      {chosen === 'appearance' && <Appearance />}
      {chosen === 'connection' && <Connection />}
      {chosen === 'about' && <About />}
    </Page>
  );
}

function Choice({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const preferences = usePreferences();
  return (
    <Panel title="Appearance" aside={<span className="muted small">kept in this browser</span>}>
      <dl className="facts choices">
        <Choice label="Theme">
          <SegmentedControl
            aria-label="Theme"
            value={colorScheme}
            onChange={value => setColorScheme(value === 'light' || value === 'dark' ? value : 'auto')}
            data={[
              { value: 'auto', label: 'System' },
              { value: 'light', label: 'Light' },
              { value: 'dark', label: 'Dark' },
            ]}
          />
        </Choice>
        <Choice label="Density">
          <SegmentedControl
            aria-label="Density"
            value={preferences.density}
            onChange={value => setPreferences({ density: value === 'comfortable' ? value : 'compact' })}
            data={[
              { value: 'compact', label: 'Compact' },
              { value: 'comfortable', label: 'Comfortable' },
            ]}
          />
        </Choice>
        <Choice label="Times">
          <SegmentedControl
            aria-label="Times"
            value={preferences.zone}
            onChange={value => setPreferences({ zone: value === 'utc' ? value : 'local' })}
            data={[
              { value: 'local', label: 'Local' },
              { value: 'utc', label: 'UTC' },
            ]}
          />
        </Choice>
        <Choice label="Motion">
          <SegmentedControl
            aria-label="Motion"
            value={preferences.motion}
            onChange={value => setPreferences({ motion: value === 'reduced' ? value : 'system' })}
            data={[
              { value: 'system', label: 'System' },
              { value: 'reduced', label: 'Reduced' },
            ]}
          />
        </Choice>
        <Choice label="Keys">
          <Switch
            label="Single-letter keys"
            size="xs"
            checked={preferences.singleKeys}
            onChange={event => setPreferences({ singleKeys: event.currentTarget.checked })}
          />
        </Choice>
      </dl>
    </Panel>
  );
}

function Connection() {
  const { connection } = useLive();
  const status = useConnection();
  useNow();
  const measures = connection.measures();
  const diagnosis = useQuery({
    queryKey: ['diagnosis'],
    queryFn: async (): Promise<unknown> => {
      const answer = await fetch('/v1/console/diagnosis');
      if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
      return (await answer.json()) as unknown;
    },
    enabled: false,
  });
  const copy = async () => {
    const { data } = await diagnosis.refetch();
    const document = { browser: { status, measures, log: connection.log }, node: data ?? 'no answer' };
    await navigator.clipboard.writeText(JSON.stringify(document, null, 2));
  };
  const offset = measures.offsetMs;
  return (
    <div className="cards">
      <Panel
        title="Connection"
        aside={
          <>
            <span className="space" />
            <button type="button" className="text-button" onClick={() => void copy()}>
              Copy diagnosis
            </button>
          </>
        }
      >
        <dl className="facts">
          <Choice label="state">{status.state}</Choice>
          <Choice label="node">{status.welcome?.node.name ?? '–'}</Choice>
          <Choice label="round trip">{millis(measures.roundTripMs)}</Choice>
          <Choice label="clock difference">
            {signedMillis(offset)}
            {offset !== undefined && Math.abs(offset) > 5_000 && ' · the clock of this computer is off'}
          </Choice>
          <Choice label="frames">
            {integer(measures.frames)}, {measures.framesPerSec}/s
          </Choice>
          <Choice label="received">{bytes(measures.bytes)}</Choice>
          <Choice label="subscriptions">{measures.subscriptions}</Choice>
          {diagnosis.isError && <Choice label="diagnosis">{diagnosis.error.message}</Choice>}
        </dl>
      </Panel>
      <Panel title="What happened" aside={<span className="muted small">last 50</span>}>
        <ol className="connection-log" aria-label="Connection log">
          {[...connection.log].reverse().map(entry => (
            <li key={`${entry.atMs} ${entry.text}`}>
              <span className="muted">
                <Instant ms={entry.atMs} />
              </span>
              <span>{entry.text}</span>
            </li>
          ))}
        </ol>
      </Panel>
      <Panel title="Sources" aside={<span className="muted small">facts at the node you are on</span>}>
        <dl className="facts">
          {status.sources.map(source => (
            <Choice key={source.nodeId} label={`node ${source.nodeId}`}>
              {source.state}
              {source.ageMs !== null && source.state !== 'self' && `, ${millis(source.ageMs)}`}
              {source.why !== undefined && <span className="muted"> {source.why}</span>}
            </Choice>
          ))}
        </dl>
      </Panel>
    </div>
  );
}

function About() {
  const { welcome } = useConnection();
  return (
    <Panel title="About">
      <dl className="facts">
        <Choice label="server">{welcome?.serverVersion ?? '–'}</Choice>
        <Choice label="console">{welcome?.consoleVersion ?? '–'}</Choice>
        <Choice label="cluster">
          {welcome?.clusterName ?? '–'} <span className="mono muted">{welcome?.clusterId}</span>
        </Choice>
        <Choice label="node">
          {welcome?.node.name ?? '–'} <span className="mono muted">{welcome?.node.endpoint}</span>
        </Choice>
        <Choice label="your level">
          {welcome?.user.level ?? '–'}{' '}
          <span className="muted">no sign-in in this release: whoever reaches this port sees this console</span>
        </Choice>
        <Choice label="licence">MIT</Choice>
      </dl>
    </Panel>
  );
}
