import { OPERATION_LEVEL, type OperationKind, type OperationRequest } from '@kahuna/console/protocol';

type Check = (value: unknown) => boolean;

const INT64 = /^-?\d{1,19}$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const MAX_INT32 = 2_147_483_647;
const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

const text: Check = value => typeof value === 'string' && value !== '' && !/\p{Surrogate}/u.test(value);
const int64: Check = value =>
  typeof value === 'string' && INT64.test(value) && BigInt(value) >= MIN_INT64 && BigInt(value) <= MAX_INT64;
const base64: Check = value => typeof value === 'string' && BASE64.test(value);
const int32: Check = value => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_INT32;
const flag: Check = value => typeof value === 'boolean';
const durability: Check = value => value === 'persistent' || value === 'ephemeral';
const orNull =
  (check: Check): Check =>
  value =>
    value === null || check(value);
const optional =
  (check: Check): Check =>
  value =>
    value === undefined || check(value);

interface Shape {
  readonly params: Readonly<Record<string, Check>>;
  readonly expect: Readonly<Record<string, Check>>;
}

const SHAPES: Readonly<Record<OperationKind, Shape>> = {
  'set-key': {
    params: { key: text, durability, valueB64: orNull(base64), expiresMs: int32, noRevision: flag },
    expect: { revision: orNull(int64) },
  },
  'delete-key': { params: { key: text, durability }, expect: { revision: int64 } },
  'delete-prefix': { params: { prefix: text, durability }, expect: {} },
  'transfer-leader': { params: { partitionId: int32, toNodeId: int32 }, expect: { leaderNodeId: int32, term: int64 } },
  'rebalance-leaders': { params: {}, expect: {} },
  'extend-key': { params: { key: text, durability, expiresMs: int32 }, expect: { revision: int64 } },
  'release-lock': { params: { resource: text, durability }, expect: { ownerB64: base64, token: int64 } },
  'create-sequence': {
    params: { name: text, initialValue: int64, increment: int64, maxValue: orNull(int64), blockSize: orNull(int32) },
    expect: {},
  },
  'update-sequence': {
    params: {
      name: text,
      currentValue: optional(int64),
      increment: optional(int64),
      maxValue: optional(orNull(int64)),
      blockSize: optional(orNull(int32)),
    },
    expect: { incarnation: int64 },
  },
  'reserve-sequence': { params: { name: text, count: int32 }, expect: { incarnation: int64 } },
  'delete-sequence': { params: { name: text }, expect: { incarnation: int64 } },
};

/** The request, or what is wrong with it. Unknown members are ignored (console §5.2). */
export function parseOperation(body: unknown): OperationRequest | { readonly wrong: string } {
  if (!isRecord(body)) return { wrong: 'the body is an object with kind, params and expect' };
  const { kind, params, expect } = body;
  if (typeof kind !== 'string' || !Object.hasOwn(OPERATION_LEVEL, kind)) return { wrong: 'kind names no operation' };
  const shape = SHAPES[kind as OperationKind];
  const wrong = firstWrong('params', params, shape.params) ?? firstWrong('expect', expect, shape.expect);
  // Every member was checked against the shape of this kind.
  return wrong === undefined ? (body as unknown as OperationRequest) : { wrong };
}

function firstWrong(where: string, value: unknown, checks: Readonly<Record<string, Check>>): string | undefined {
  if (!isRecord(value)) return `${where} is an object`;
  const name = Object.keys(checks).find(member => !(checks[member] as Check)(value[member]));
  return name === undefined ? undefined : `${where}.${name} is missing or wrong`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
