import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleSettings } from './hub.ts';
import { parseOperation } from './operation-input.ts';
import { type Operations, Refusal } from './operations.ts';
import { originAllowed } from './origin.ts';

const BODY_LIMIT = 1024 * 1024;
const UNKNOWN = { error: 'this node knows no such operation; another node may have run it' };

/** `POST /v1/console/operations` and what became of them (console §7, §17). */
export function addOperations(app: FastifyInstance, operations: Operations, settings: ConsoleSettings): void {
  app.register(async scope => {
    // The REST surface parses bodies in its own way; here a body is JSON and nothing else.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string', bodyLimit: BODY_LIMIT },
      async (_request: FastifyRequest, body: string) => parseJson(body),
    );
    scope.addHook('onRequest', async (request, reply) => {
      if (originAllowed(request, settings.allowedOrigins)) return undefined;
      return reply.code(403).send({ error: 'this origin may change nothing here', option: '--console-allowed-origins' });
    });
    scope.post('/v1/console/operations', { bodyLimit: BODY_LIMIT, config: { bindsBody: true } }, (request, reply) =>
      post(operations, request, reply),
    );
    scope.post<{ Params: { id: string } }>('/v1/console/operations/:id/cancel', (request, reply) =>
      refusing(reply, async () => operations.cancel(request.params.id) ?? reply.code(404).send(UNKNOWN)),
    );
  });
  app.get<{ Params: { id: string } }>(
    '/v1/console/operations/:id',
    async (request, reply) => operations.find(request.params.id) ?? reply.code(404).send(UNKNOWN),
  );
}

async function post(operations: Operations, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const operation = parseOperation(request.body);
  if ('wrong' in operation) return reply.code(400).send({ error: operation.wrong });
  const { dryRun } = request.query as { readonly dryRun?: string };
  if (dryRun === 'true') return operations.preflight(operation);
  const key = request.headers['idempotency-key'];
  return refusing(reply, async () => {
    const report = await operations.start(operation, typeof key === 'string' && key !== '' ? key : undefined, request.ip);
    return reply.code(202).send(report);
  });
}

/** What is refused is an answer with its status. */
async function refusing(reply: FastifyReply, run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Refusal) return reply.code(error.status).send({ error: error.message });
    throw error;
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined; // the request handler answers what it thinks of a body that is no object
  }
}
