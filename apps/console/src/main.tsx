import '@mantine/core/styles.css';
import './app/tokens.css';
import './app/shell.css';
import './ui/lists.css';
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { applyPreferences } from './app/preferences.ts';
import { router } from './app/router.tsx';
import { theme } from './app/theme.ts';
import { animationFrames, followPage, pageSurroundings } from './live/browser.ts';
import { LiveClient } from './live/live-client.ts';
import { LiveContext } from './live/use-live.ts';

const client = new LiveClient(pageSurroundings(), animationFrames());
// Only request-answer calls go through the query cache; live rows have their own store (console §13).
const queries = new QueryClient({ defaultOptions: { queries: { retry: 1, refetchOnWindowFocus: false, staleTime: 30_000 } } });

applyPreferences();
followPage(client);
client.connection.start();

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no root element');
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <LiveContext.Provider value={client}>
          <RouterProvider router={router} />
        </LiveContext.Provider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
