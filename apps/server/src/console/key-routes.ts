import type { DurabilityName, Level } from '@kahuna/console/protocol';
import { ResponseType } from '@kahuna/partition';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { HISTORY_ROWS, parseCursor, readHistory } from './history.ts';
import { isAtLeast, topicLevel } from './levels.ts';
import { type ConsoleReads, refusalText } from './reads.ts';

interface KeyQuery {
  readonly key?: string;
  readonly durability?: string;
  readonly before?: string;
  readonly count?: string;
  readonly revision?: string;
  readonly prefix?: string;
  readonly after?: string;
}

/** Request-answer reads of keys (console §17): levels of names, revisions, whole values. */
export function addKeyReads(app: FastifyInstance, reads: ConsoleReads, level: Level): void {
  app.get<{ Querystring: KeyQuery }>('/v1/console/tree', async (request, reply) => {
    if (!mayRead(level, reply)) return reply;
    const { prefix = '', after } = request.query;
    const answer = await reads.tree({
      prefix,
      durability: durabilityIn(request.query),
      ...(after === undefined ? {} : { from: after }),
    });
    if ('problem' in answer) return unavailable(reply, answer.problem);
    return { rows: answer.rows.map(row => row.v), next: answer.window.next };
  });
  app.get<{ Querystring: KeyQuery }>('/v1/console/history', async (request, reply) => {
    if (!mayRead(level, reply)) return reply;
    const { key = '', before, count = String(HISTORY_ROWS) } = request.query;
    if (key === '') return reply.code(400).send({ error: 'key is missing' });
    const cursor = before === undefined ? undefined : parseCursor(before);
    if (before !== undefined && cursor === undefined) return reply.code(400).send({ error: 'before is what next of a page was' });
    const wanted = Number(count);
    if (!(Number.isSafeInteger(wanted) && wanted >= 1 && wanted <= HISTORY_ROWS)) {
      return reply.code(400).send({ error: `count must be 1 to ${HISTORY_ROWS}` });
    }
    const page = await readHistory(reads, key, durabilityIn(request.query), cursor, wanted);
    return 'problem' in page ? unavailable(reply, page.problem) : page;
  });
  app.get<{ Querystring: KeyQuery }>('/v1/console/value', async (request, reply) => {
    if (!mayRead(level, reply)) return reply;
    const { key = '', revision = '-1' } = request.query;
    if (key === '' || !/^-?\d{1,15}$/.test(revision)) return reply.code(400).send({ error: 'key or revision is wrong' });
    const found = await reads.getAt(key, { durability: durabilityIn(request.query) }, Number(revision));
    if (found.type === ResponseType.DoesNotExist) return reply.code(404).send({ error: 'no such value is kept' });
    if (found.type !== ResponseType.Get) return unavailable(reply, refusalText(found.type));
    // Never as a page of this origin: a value is somebody's text.
    return reply
      .type('application/octet-stream')
      .header('content-disposition', 'attachment; filename="value.bin"')
      .header('x-content-type-options', 'nosniff')
      .send(Buffer.from(found.value ?? []));
  });
}

function mayRead(level: Level, reply: FastifyReply): boolean {
  const wanted = topicLevel('key');
  if (isAtLeast(level, wanted)) return true;
  reply.code(403).send({ error: `reading keys needs the level ${wanted}` });
  return false;
}

function durabilityIn(query: KeyQuery): DurabilityName {
  return query.durability === 'ephemeral' ? 'ephemeral' : 'persistent';
}

function unavailable(reply: FastifyReply, problem: string): FastifyReply {
  return reply.code(503).header('retry-after', '1').send({ error: problem });
}
