import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConnectionStatus } from '../live/connection.ts';
import { Emitter } from '../live/emitter.ts';
import type { LiveClient } from '../live/live-client.ts';
import { LiveContext } from '../live/use-live.ts';
import type { OperationRequest, Preflight } from '../protocol/messages.ts';
import { ActionDialog } from './action-dialog.tsx';

const REQUEST: OperationRequest = {
  kind: 'create-sequence',
  params: { name: 'invoice', initialValue: '0', increment: '1', maxValue: null, blockSize: null },
  expect: {},
};
const ALLOWED: Preflight = {
  allowed: true,
  checks: [{ id: 'exists', ok: true, text: 'No sequence has this name.' }],
  ...{ effects: [], risk: 'low', phrase: null, cli: null, curl: 'curl' },
};
const UNREADABLE: Preflight = { ...ALLOWED, allowed: false, checks: [{ id: 'read', ok: false, text: 'It could not be read.' }] };

/** What the node answers, one after the other; the last one again and again. */
let answers: Response[] = [];

beforeEach(() => {
  vi.stubGlobal('fetch', async () => (answers.length > 1 ? answers.shift() : answers[0])?.clone());
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function show(): void {
  const connection = { changed: new Emitter(), status: { state: 'live' } as unknown as ConnectionStatus };
  render(
    <MantineProvider>
      <LiveContext value={{ connection } as unknown as LiveClient}>
        <QueryClientProvider client={new QueryClient()}>
          <ActionDialog title="Create a sequence" verb="Create" request={REQUEST} onClose={() => undefined} />
        </QueryClientProvider>
      </LiveContext>
    </MantineProvider>,
  );
}

test.each([
  ['could not be read', Response.json(UNREADABLE), 'It could not be read.'],
  ['failed', Response.json({ error: 'busy' }, { status: 503 }), /did not tell what this would do: busy/],
])('a preview that %s is asked for again by itself', async (_, first, told) => {
  answers = [first, Response.json(ALLOWED)];
  show();
  await screen.findByText(told, undefined, { timeout: 60_000 });
  await screen.findByText('No sequence has this name.', undefined, { timeout: 60_000 });
  expect(screen.queryByText(told)).toBeNull();
});
