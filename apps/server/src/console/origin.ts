import type { FastifyRequest } from 'fastify';

/** Released clients send no Origin; a browser's must be ours or listed (console §14). */
export function originAllowed(request: FastifyRequest, allowed: readonly string[]): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return true;
  return origin === `${request.protocol}://${request.headers.host}` || allowed.includes(origin);
}
