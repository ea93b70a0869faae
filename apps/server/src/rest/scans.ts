import { type RangeQuery, ResponseType, type ScanAnswer, type ScanQuery } from '@kahuna/partition';
import type { RequestedScan } from '@kahuna/wire';
import { readRange } from '../gateway/range-page.ts';
import { isValidScan, scanRefusal } from '../gateway/validate.ts';
import { type DataContext, type Endpoint, endpoint } from './endpoint.ts';
import { bytesJson, hlcJson } from './json-output.ts';
import {
  BOOLEAN,
  BYTES,
  HLC,
  INT64,
  KEY_VALUE_TYPES,
  list,
  nullable,
  object,
  outcome,
  SERVED_FROM,
  TEXT,
} from './json-schema.ts';
import { anyInteger, boolean, durability, hlc, optionalText, text } from './shape.ts';
import { TRANSACTION, transactionRefusal } from './transaction-fields.ts';

const READ_TIMESTAMP = hlc('Snapshot to read; zero: the latest');
const ROW = object({ key: TEXT, value: BYTES, revision: INT64, expires: HLC, lastModified: HLC });
const ROWS = { servedFrom: SERVED_FROM, type: outcome(KEY_VALUE_TYPES), items: list(ROW) };
const INT32_MAX = 0x7fff_ffff;

async function read(query: RequestedScan, refused: ResponseType | undefined, { node }: DataContext): Promise<ScanAnswer> {
  if (!isValidScan(query)) return scanRefusal(ResponseType.InvalidInput);
  if (refused !== undefined) return scanRefusal(refused);
  return query.kind === 'range' ? readRange(node, query satisfies RangeQuery, 0) : node.scan(query satisfies ScanQuery, 0);
}

function headJson({ type, rows }: ScanAnswer): string {
  const items = rows.map(({ key, result: r }) => {
    const value = `"value":${bytesJson(r.value)},"revision":${r.revision}`;
    return `{"key":${JSON.stringify(key)},${value},"expires":${hlcJson(r.expires)},"lastModified":${hlcJson(r.lastModified)}}`;
  });
  return `{"servedFrom":"","type":${type},"items":[${items.join(',')}]`;
}

/** Spec rest §9. */
export const SCAN_ENDPOINTS: readonly Endpoint[] = [
  endpoint({
    path: '/v1/kv/get-by-bucket',
    summary: 'Read the keys of one key space, up to 4096',
    body: { ...TRANSACTION, prefixKey: text('The key space'), readTimestamp: READ_TIMESTAMP, durability: durability() },
    response: object(ROWS),
    handle: async (body, context) => {
      const { prefixKey: prefix, readTimestamp, durability } = body;
      const refused = transactionRefusal(body, body.transactionId);
      return `${headJson(await read({ kind: 'bucket', prefix, readTimestamp, durability }, refused, context))}}`;
    },
  }),
  endpoint({
    path: '/v1/kv/scan-all-by-prefix',
    summary: 'Read the keys that begin with a text, up to 4096',
    body: { prefixKey: text('What the keys begin with'), readTimestamp: READ_TIMESTAMP, durability: durability() },
    response: object(ROWS),
    handle: async ({ prefixKey: prefix, readTimestamp, durability }, context) =>
      `${headJson(await read({ kind: 'prefix', prefix, readTimestamp, durability }, undefined, context))}}`,
  }),
  endpoint({
    path: '/v1/kv/get-by-range',
    summary: 'Read a range of one key space, page by page',
    body: {
      ...TRANSACTION,
      prefix: text('The key space'),
      startKey: optionalText('Lower bound; null: open'),
      startInclusive: boolean('The lower bound belongs to the range'),
      endKey: optionalText('Upper bound; null: open'),
      endInclusive: boolean('The upper bound belongs to the range'),
      limit: anyInteger(0, 'Page size; 0 or less, or more than an int32 holds: no limit'),
      readTimestamp: READ_TIMESTAMP,
      durability: durability(),
      cursor: optionalText('`nextCursor` of the page before'),
    },
    response: object({ ...ROWS, nextCursor: nullable(TEXT), hasMore: BOOLEAN }),
    handle: async ({ transactionId, coordinatorKey, operationIdHigh, operationIdLow, ...body }, context) => {
      const { startKey, endKey, limit, cursor } = body;
      const query = {
        kind: 'range',
        ...body,
        startInclusive: body.startInclusive || startKey === undefined,
        endInclusive: body.endInclusive && endKey !== undefined,
        limit: limit <= 0 || limit > INT32_MAX ? 0 : Number(limit),
        cursor: cursor === '' ? undefined : cursor,
      } as const;
      const refused = transactionRefusal({ coordinatorKey, operationIdHigh, operationIdLow }, transactionId);
      const page = await read(query, refused, context);
      return `${headJson(page)},"nextCursor":${JSON.stringify(page.nextCursor ?? null)},"hasMore":${page.hasMore}}`;
    },
  }),
];
