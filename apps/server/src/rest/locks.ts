import type { LockOperation, OperationResult } from '@kahuna/partition';
import type { LockKind, RequestedLock } from '@kahuna/wire';
import { invalidInput, isValidLock } from '../gateway/validate.ts';
import { type DataContext, type Endpoint, endpoint } from './endpoint.ts';
import { bytesJson, hlcJson } from './json-output.ts';
import { BYTES, HLC, INT64, LOCK_TYPES, object, outcome, ROUTE, SERVED_FROM } from './json-schema.ts';
import { bytes, durability, int32, text } from './shape.ts';

const RESOURCE = { resource: text('Name of the lock; any text that is not empty'), durability: durability() } as const;
const OWNED = { ...RESOURCE, owner: bytes('Whoever presents the same bytes is the owner') } as const;
const LEASE = { ...OWNED, expiresMs: int32(0, 'Length of the lease in milliseconds, from 1') } as const;

const NO_OWNER = new Uint8Array(0);
const GRANT = object({ servedFrom: SERVED_FROM, type: outcome(LOCK_TYPES), fencingToken: INT64, route: ROUTE });
const INFO = object({
  servedFrom: SERVED_FROM,
  type: outcome(LOCK_TYPES),
  owner: BYTES,
  expires: HLC,
  fencingToken: INT64,
  route: ROUTE,
});

/** What all four bodies have, and what some of them lack. */
interface LockBody {
  readonly resource: string;
  readonly durability: number;
  readonly owner?: Uint8Array | null;
  readonly expiresMs?: number;
}

async function run(kind: LockKind, body: LockBody, { calls }: DataContext): Promise<OperationResult> {
  const { resource: key, owner, expiresMs = 0, durability } = body;
  const requested: RequestedLock = { kind, key, owner: owner ?? NO_OWNER, expiresMs, durability };
  return isValidLock(requested) ? calls.run(requested satisfies LockOperation) : invalidInput();
}

function grantJson(result: OperationResult, { hints }: DataContext): string {
  return `{"servedFrom":"","type":${result.type},"fencingToken":${result.revision},"route":${hints.json(result.route)}}`;
}

/** Spec rest §13. */
export const LOCK_ENDPOINTS: readonly Endpoint[] = [
  endpoint({
    path: '/v1/locks/try-lock',
    summary: 'Acquire a lock',
    body: LEASE,
    response: GRANT,
    handle: async (body, context) => grantJson(await run('lock-acquire', body, context), context),
  }),
  endpoint({
    path: '/v1/locks/try-extend',
    summary: 'Begin the lease anew, from now',
    body: LEASE,
    response: GRANT,
    handle: async (body, context) => grantJson(await run('lock-extend', body, context), context),
  }),
  endpoint({
    path: '/v1/locks/try-unlock',
    summary: 'Release a lock',
    body: OWNED,
    response: GRANT,
    handle: async (body, context) => grantJson(await run('lock-release', body, context), context),
  }),
  endpoint({
    path: '/v1/locks/get-info',
    summary: 'Who holds a lock',
    body: RESOURCE,
    response: INFO,
    handle: async (body, context) => {
      const r = await run('lock-info', body, context);
      const holder = `"owner":${bytesJson(r.value)},"expires":${hlcJson(r.expires)}`;
      return `{"servedFrom":"","type":${r.type},${holder},"fencingToken":${r.revision},"route":${context.hints.json(r.route)}}`;
    },
  }),
];
