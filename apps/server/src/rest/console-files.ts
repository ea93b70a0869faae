import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { problem } from './problem.ts';

/** Spec console §14. Mantine sets style attributes, hence 'unsafe-inline' for styles only. */
const CONSOLE_HEADERS = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const;

const NOT_BUILT_PAGE =
  '<!doctype html><meta charset="utf-8"><title>Kahuna</title><p>The console is not built. Run <code>npm run build</code> in the repository.</p>';

export function addConsoleHeaders(reply: FastifyReply): void {
  reply.headers(CONSOLE_HEADERS);
}

/**
 * The console's files under `/ui/` (spec console §17): names under `assets/` are immutable, every other unknown path is the app
 * itself, so that a deep link can be opened, and a missing asset is 404.
 */
export async function registerConsoleFiles(app: FastifyInstance, directory: string | undefined): Promise<void> {
  if (directory === undefined || !existsSync(join(directory, 'index.html'))) {
    const notBuilt = (reply: FastifyReply): FastifyReply => {
      addConsoleHeaders(reply);
      return reply.code(503).type('text/html; charset=utf-8').send(NOT_BUILT_PAGE);
    };
    app.get('/ui', (_request, reply) => notBuilt(reply));
    app.get('/ui/*', (_request, reply) => notBuilt(reply));
    return;
  }
  await app.register(fastifyStatic, {
    root: directory,
    serve: false,
    preCompressed: true,
    cacheControl: false,
    index: false,
  });
  app.get('/ui', (request, reply) => {
    addConsoleHeaders(reply);
    // One route for both spellings; the app's relative links need the slash.
    if (!request.url.split('?', 1)[0]?.endsWith('/')) return reply.redirect('/ui/', 302);
    return reply.header('cache-control', 'no-cache').sendFile('index.html');
  });
  app.get<{ Params: { '*': string } }>('/ui/*', (request, reply) => {
    addConsoleHeaders(reply);
    const path = request.params['*'];
    const isAsset = path.startsWith('assets/');
    const isFile = path !== '' && !path.includes('..') && !path.includes('\0') && existsSync(join(directory, path));
    if (isAsset && !isFile) {
      return reply.code(404).type('application/problem+json').send(problem(404, 'No such file.'));
    }
    reply.header('cache-control', isAsset ? 'public, max-age=31536000, immutable' : 'no-cache');
    return reply.sendFile(isFile && !path.endsWith('/') ? path : 'index.html');
  });
}
