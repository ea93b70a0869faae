import type { HistoryPage, OperationReport, OperationRequest, Preflight } from '../protocol/messages.ts';

const PATH = '/v1/console/operations';

async function answerOf<T>(response: Response): Promise<T> {
  const body = (await response.json().catch(() => undefined)) as (T & { error?: string }) | undefined;
  if (!response.ok || body === undefined) throw new Error(body?.error ?? `the node answered ${response.status}`);
  return body;
}

export async function preflight(request: OperationRequest): Promise<Preflight> {
  return answerOf(
    await fetch(`${PATH}?dryRun=true`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    }),
  );
}

/** One key per opened dialog: a double click or a resend starts nothing twice. */
export async function start(request: OperationRequest, idempotencyKey: string): Promise<OperationReport> {
  return answerOf(
    await fetch(PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(request),
    }),
  );
}

/** Asks a running operation to stop. */
export async function cancel(operationId: string): Promise<OperationReport> {
  return answerOf(await fetch(`${PATH}/${operationId}/cancel`, { method: 'POST' }));
}

export async function readHistory(key: string, durability: string, before: string | null): Promise<HistoryPage> {
  const query = new URLSearchParams({ key, durability, count: '20' });
  if (before !== null) query.set('before', before);
  return answerOf(await fetch(`/v1/console/history?${query}`));
}

/** Address of the whole value, as a download. */
export function valueUrl(key: string, durability: string, revision?: string): string {
  const query = new URLSearchParams({ key, durability });
  if (revision !== undefined) query.set('revision', revision);
  return `/v1/console/value?${query}`;
}

/** Where crypto.randomUUID is missing (pages over plain HTTP on another host), random bytes serve. */
export function newIdempotencyKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
}
