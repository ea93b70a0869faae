import { keyValueMessages as m } from '@kahuna/wire';
import { GrpcClient } from './grpc-kv.ts';
import { type Hlc, ZERO } from './kv-api.ts';
import { RestCalls } from './rest-kv.ts';

export interface ScanRow {
  readonly key: string;
  readonly value: Buffer | null;
  readonly revision: number;
  readonly lastModified: Hlc;
}

export interface ScanPage {
  readonly type: number;
  readonly rows: readonly ScanRow[];
  readonly hasMore: boolean;
  readonly nextCursor: string | null;
}

export interface PrefixRequest {
  readonly prefixKey: string;
  readonly durability: number;
  readonly readTimestamp?: Hlc;
}

export interface RangeRequest {
  readonly prefix: string;
  readonly durability: number;
  readonly startKey?: string;
  readonly startInclusive?: boolean;
  readonly endKey?: string;
  readonly endInclusive?: boolean;
  readonly limit?: number;
  readonly readTimestamp?: Hlc;
}

/** Reads of many keys as a test sees them, whatever carries them. */
export interface ScanApi {
  readonly name: string;
  bucket(request: PrefixRequest): Promise<ScanPage>;
  scanAll(request: PrefixRequest): Promise<ScanPage>;
  /** All pages of a range, one after the other. */
  pages(request: RangeRequest): Promise<readonly ScanPage[]>;
  close(): void;
}

interface RawRow {
  readonly key: string;
  readonly value: string | null;
  readonly revision: number;
  readonly lastModified: Hlc;
}

interface RawPage {
  readonly type: number;
  readonly items: readonly RawRow[] | null;
  readonly hasMore?: boolean;
  readonly nextCursor?: string | null;
}

export class RestScans implements ScanApi {
  readonly name = 'REST';
  private readonly rest: RestCalls;

  constructor(url: string) {
    this.rest = new RestCalls(`${url}/v1/kv`);
  }

  private async ask(path: string, body: object): Promise<ScanPage> {
    const { type, items, hasMore = false, nextCursor = null } = await this.rest.post<RawPage>(path, body);
    const rows = (items ?? []).map(({ key, value, revision, lastModified }) => ({
      ...{ key, revision, lastModified },
      value: value === null ? null : Buffer.from(value, 'base64'),
    }));
    return { type, rows, hasMore, nextCursor };
  }

  bucket(request: PrefixRequest): Promise<ScanPage> {
    return this.ask('get-by-bucket', request);
  }

  scanAll(request: PrefixRequest): Promise<ScanPage> {
    return this.ask('scan-all-by-prefix', request);
  }

  page(request: RangeRequest, cursor: string | null): Promise<ScanPage> {
    return this.ask('get-by-range', { ...request, cursor });
  }

  async pages(request: RangeRequest): Promise<readonly ScanPage[]> {
    const pages: ScanPage[] = [];
    let cursor: string | null = null;
    do {
      const page: ScanPage = await this.page(request, cursor);
      pages.push(page);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return pages;
  }

  close(): void {
    this.rest.close();
  }
}

export class GrpcScans implements ScanApi {
  readonly name = 'gRPC';
  private readonly grpc: GrpcClient;

  constructor(address: string) {
    this.grpc = new GrpcClient(address);
  }

  async bucket(request: PrefixRequest): Promise<ScanPage> {
    const { prefixKey: PrefixKey, durability, readTimestamp } = request;
    const fields = { PrefixKey, Durability: durability as m.GrpcKeyValueDurability, ...timestamp(readTimestamp) };
    return pageOf(await this.grpc.call('/KeyValuer/GetByBucket', m.GrpcGetByBucketRequest, m.GrpcGetByBucketResponse, fields));
  }

  async scanAll(request: PrefixRequest): Promise<ScanPage> {
    const { prefixKey: PrefixKey, durability, readTimestamp } = request;
    const fields = { PrefixKey, Durability: durability as m.GrpcKeyValueDurability, ...timestamp(readTimestamp) };
    return pageOf(
      await this.grpc.call('/KeyValuer/ScanAllByPrefix', m.GrpcScanAllByPrefixRequest, m.GrpcScanAllByPrefixResponse, fields),
    );
  }

  async pages(request: RangeRequest): Promise<readonly ScanPage[]> {
    const fields = {
      ...{ Prefix: request.prefix, Durability: request.durability as m.GrpcKeyValueDurability, Limit: request.limit ?? 0 },
      ...{ StartKey: request.startKey, StartInclusive: request.startInclusive ?? false },
      ...{ EndKey: request.endKey, EndInclusive: request.endInclusive ?? false },
      ...timestamp(request.readTimestamp),
    };
    const pages: ScanPage[] = [];
    const stream = this.grpc.stream('/KeyValuer/GetByRangeStream', m.GrpcGetByRangeRequest, m.GrpcGetByRangePageResponse, fields);
    for await (const page of stream) pages.push(pageOf(page));
    return pages;
  }

  close(): void {
    this.grpc.close();
  }
}

function timestamp({ n, l, c }: Hlc = ZERO) {
  return { ReadTimestampNode: n, ReadTimestampPhysical: BigInt(l), ReadTimestampCounter: c };
}

function pageOf(page: {
  readonly Type: number;
  readonly Items: readonly m.GrpcKeyValueByPrefixItemResponse[];
  readonly HasMore?: boolean;
  readonly NextCursor?: string | undefined;
}): ScanPage {
  const rows = page.Items.map(item => ({
    key: item.Key,
    value: item.Value === undefined ? null : Buffer.from(item.Value),
    revision: Number(item.Revision),
    lastModified: { n: item.LastModifiedNode, l: Number(item.LastModifiedPhysical), c: item.LastModifiedCounter },
  }));
  return { type: page.Type, rows, hasMore: page.HasMore ?? false, nextCursor: page.NextCursor ?? null };
}

/** Spreads calls over several nodes, one after the other: an answer must not depend on who was asked. */
export function anyScanNode(apis: readonly ScanApi[]): ScanApi {
  let turn = 0;
  const next = (): ScanApi => apis[turn++ % apis.length] as ScanApi;
  return {
    name: apis[0]?.name ?? 'none',
    bucket: request => next().bucket(request),
    scanAll: request => next().scanAll(request),
    pages: request => next().pages(request),
    close: () => {
      for (const api of apis) api.close();
    },
  };
}
