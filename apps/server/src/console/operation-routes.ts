import type { KahunaNode } from '@kahuna/node';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleSettings } from './hub.ts';
import { parseOperation } from './operation-input.ts';
import { Operations, Refusal } from './operations.ts';
import { originAllowed } from './origin.ts';
import type { ConsoleReads } from './reads.ts';

const BODY_LIMIT = 1024 * 1024;

/** `POST /v1/console/operations` and what became of them (console §7, §17). */
export function addOperations(app: FastifyInstance, node: KahunaNode, reads: ConsoleReads, settings: ConsoleSettings): void {
  const operations = new Operations(node, reads, settings.clock, settings.level);
  app.register(async scope => {
    // The REST surface parses bodies in its own way; here a body is JSON and nothing else.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string', bodyLimit: BODY_LIMIT },
      async (_request: FastifyRequest, body: string) => parseJson(body),
    );
    scope.post('/v1/console/operations', { bodyLimit: BODY_LIMIT, config: { bindsBody: true } }, async (request, reply) => {
      if (!originAllowed(request, settings.allowedOrigins)) {
        return reply.code(403).send({ error: 'this origin may change nothing here', option: '--console-allowed-origins' });
      }
      return post(operations, request, reply);
    });
  });
  app.get<{ Params: { id: string } }>('/v1/console/operations/:id', async (request, reply) => {
    const report = operations.find(request.params.id);
    return report ?? reply.code(404).send({ error: 'this node knows no such operation; another node may have run it' });
  });
}

async function post(operations: Operations, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const operation = parseOperation(request.body);
  if ('wrong' in operation) return reply.code(400).send({ error: operation.wrong });
  const { dryRun } = request.query as { readonly dryRun?: string };
  if (dryRun === 'true') return operations.preflight(operation);
  const key = request.headers['idempotency-key'];
  try {
    const report = await operations.start(operation, typeof key === 'string' && key !== '' ? key : undefined);
    return reply.code(202).send(report);
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
