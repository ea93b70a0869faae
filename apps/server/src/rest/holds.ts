import { type HoldAnswer, type HoldOperation, ResponseType } from '@kahuna/partition';
import { holdRefusal, isValidHold } from '../gateway/validate.ts';
import { type DataContext, type Endpoint, endpoint } from './endpoint.ts';
import { hlcJson } from './json-output.ts';
import { HLC, INT32, type JsonSchema, KEY_VALUE_TYPES, object, outcome, TEXT } from './json-schema.ts';
import { hlc, int32, text } from './shape.ts';

const TYPE = outcome(KEY_VALUE_TYPES);
const LEASE_MS = int32(0, 'Length of the lease in milliseconds, from 1');
const HOLD_ID = text('The hold, as it was answered when it was acquired');

async function run(operation: HoldOperation, { node }: DataContext): Promise<HoldAnswer> {
  return isValidHold(operation) ? node.hold(operation, 0) : holdRefusal(ResponseType.InvalidInput);
}

/** Spec rest §12. */
export const HOLD_ENDPOINTS: readonly Endpoint[] = [
  endpoint({
    path: '/v1/kv/snapshot-hold/acquire',
    summary: 'Keep history readable at one time',
    body: { holderId: text('Who holds it'), timestamp: hlc('The time to keep; not zero'), leaseMs: LEASE_MS },
    response: object({ type: TYPE, holdId: TEXT, leaseExpiry: HLC }),
    handle: async (body, context) => {
      const { type, holdId, leaseExpiry } = await run({ kind: 'hold-acquire', ...body }, context);
      return `{"type":${type},"holdId":${JSON.stringify(holdId)},"leaseExpiry":${hlcJson(leaseExpiry)}}`;
    },
  }),
  endpoint({
    path: '/v1/kv/snapshot-hold/renew',
    summary: 'Begin the lease of a hold anew, from now',
    body: { holdId: HOLD_ID, leaseMs: LEASE_MS },
    response: object({ type: TYPE, leaseExpiry: HLC }),
    handle: async (body, context) => {
      const { type, leaseExpiry } = await run({ kind: 'hold-renew', ...body }, context);
      return `{"type":${type},"leaseExpiry":${hlcJson(leaseExpiry)}}`;
    },
  }),
  endpoint({
    path: '/v1/kv/snapshot-hold/release',
    summary: 'Give a hold up',
    body: { holdId: HOLD_ID },
    response: object({ type: TYPE }),
    handle: async (body, context) => `{"type":${(await run({ kind: 'hold-release', ...body }, context)).type}}`,
  }),
];

export const FLOOR_RESPONSE: JsonSchema = object({ type: TYPE, effectiveFloor: HLC, liveHolds: INT32 });

export async function snapshotFloor(context: DataContext): Promise<string> {
  const { type, effectiveFloor, liveHolds } = await run({ kind: 'hold-floor' }, context);
  return `{"type":${type},"effectiveFloor":${hlcJson(effectiveFloor)},"liveHolds":${liveHolds}}`;
}
