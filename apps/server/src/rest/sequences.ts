import type { OperationResult, SequenceAllocation, SequenceEntry, SequenceOperation } from '@kahuna/partition';
import { sequenceRevision, sequenceWireType } from '@kahuna/wire';
import { invalidInput, SEQUENCE_DURABILITY } from '../gateway/validate.ts';
import { type DataContext, type Endpoint, endpoint } from './endpoint.ts';
import { hlcJson } from './json-output.ts';
import { HLC, INT32, INT64, nullable, object, outcome, ROUTE, SEQUENCE_TYPES, SERVED_FROM, TEXT } from './json-schema.ts';
import { boolean, durability, int32, int64, optionalInt32, optionalInt64, optionalText, text } from './shape.ts';

const NAMED = { name: text('Trimmed; 1 to 1024 units'), durability: durability(SEQUENCE_DURABILITY) } as const;
const KEYED = { ...NAMED, idempotencyKey: optionalText('The same key gets the same allocation') } as const;

const ENTRY = object({
  name: TEXT,
  currentValue: { ...INT64, description: 'Nothing above it was handed out' },
  initialValue: INT64,
  increment: INT64,
  maxValue: nullable(INT64),
  blockSize: nullable(INT32),
  incarnation: INT64,
  revision: INT64,
  durability: INT32,
  createdAt: HLC,
  updatedAt: HLC,
});
const ALLOCATION = object({ name: nullable(TEXT), start: INT64, end: INT64, count: INT32, revision: INT64 });
/** One shape for all six. */
const RESPONSE = object({
  servedFrom: SERVED_FROM,
  type: outcome(SEQUENCE_TYPES),
  sequence: nullable(ENTRY),
  allocation: ALLOCATION,
  revision: INT64,
  route: ROUTE,
});

const NO_ALLOCATION = '{"name":null,"start":0,"end":0,"count":0,"revision":0}';

function entryJson(entry: SequenceEntry): string {
  const { name, currentValue, initialValue, increment, maxValue, blockSize, incarnation, revision } = entry;
  const values = `"currentValue":${currentValue},"initialValue":${initialValue},"increment":${increment},"maxValue":${maxValue ?? null}`;
  const state = `"blockSize":${blockSize ?? null},"incarnation":${incarnation},"revision":${revision},"durability":${SEQUENCE_DURABILITY}`;
  const times = `"createdAt":${hlcJson(entry.createdAt)},"updatedAt":${hlcJson(entry.updatedAt)}`;
  return `{"name":${JSON.stringify(name)},${values},${state},${times}}`;
}

function allocationJson({ name, start, end, count, revision }: SequenceAllocation): string {
  return `{"name":${JSON.stringify(name)},"start":${start},"end":${end},"count":${count},"revision":${revision}}`;
}

async function respond(operation: SequenceOperation, durability: number, { calls, hints }: DataContext): Promise<string> {
  const result: OperationResult = durability === SEQUENCE_DURABILITY ? await calls.run(operation) : invalidInput();
  const { detail } = result;
  const shown = {
    sequence: detail?.kind === 'sequence-entry' ? entryJson(detail) : 'null',
    allocation: detail?.kind === 'sequence-allocation' ? allocationJson(detail) : NO_ALLOCATION,
    revision: sequenceRevision(operation.kind, result),
  };
  const head = `{"servedFrom":"","type":${sequenceWireType(result.type)},"sequence":${shown.sequence}`;
  return `${head},"allocation":${shown.allocation},"revision":${shown.revision},"route":${hints.json(result.route)}}`;
}

/** Spec rest §14. */
export const SEQUENCE_ENDPOINTS: readonly Endpoint[] = [
  endpoint({
    path: '/v1/sequences/create',
    summary: 'Create a sequence',
    body: {
      ...NAMED,
      initialValue: int64(0, 'The first value handed out is this plus the increment'),
      increment: int64(1, 'Step, above 0'),
      maxValue: optionalInt64('No value above it is handed out'),
      blockSize: optionalInt32('Values per durable reservation; null: the setting of the server'),
    },
    response: RESPONSE,
    handle: ({ name: key, initialValue, increment, durability, ...rest }, context) => {
      const numbers = { initialValue: BigInt(initialValue), increment: BigInt(increment) };
      return respond({ kind: 'sequence-create', key, ...numbers, ...rest }, durability, context);
    },
  }),
  endpoint({
    path: '/v1/sequences/update',
    summary: 'Change the parameters or the position of a sequence',
    body: {
      ...NAMED,
      currentValue: optionalInt64('New position, up or down'),
      increment: optionalInt64('New step, above 0'),
      initialValue: optionalInt64('Recorded only'),
      maxValue: optionalInt64('New maximum'),
      removeMaxValue: boolean('No maximum any more'),
      blockSize: optionalInt32('New block size'),
      removeBlockSize: boolean('Follow the setting of the server again'),
    },
    response: RESPONSE,
    handle: ({ name: key, durability, ...changes }, context) =>
      respond({ kind: 'sequence-update', key, ...changes }, durability, context),
  }),
  endpoint({
    path: '/v1/sequences/get',
    summary: 'Read a sequence',
    body: NAMED,
    response: RESPONSE,
    handle: ({ name: key, durability }, context) => respond({ kind: 'sequence-get', key }, durability, context),
  }),
  endpoint({
    path: '/v1/sequences/next',
    summary: 'Take the next value',
    body: KEYED,
    response: RESPONSE,
    handle: ({ name: key, durability, idempotencyKey = '' }, context) =>
      respond({ kind: 'sequence-reserve', key, count: 1, idempotencyKey }, durability, context),
  }),
  endpoint({
    path: '/v1/sequences/reserve',
    summary: 'Take several values that follow one another',
    body: { ...KEYED, count: int32(0, 'How many, from 1') },
    response: RESPONSE,
    handle: ({ name: key, durability, count, idempotencyKey = '' }, context) =>
      respond({ kind: 'sequence-reserve', key, count, idempotencyKey }, durability, context),
  }),
  endpoint({
    path: '/v1/sequences/delete',
    summary: 'Delete a sequence',
    body: NAMED,
    response: RESPONSE,
    handle: ({ name: key, durability }, context) => respond({ kind: 'sequence-delete', key }, durability, context),
  }),
];
