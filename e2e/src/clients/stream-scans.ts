import { keyValueMessages as m } from '@kahuna/wire';
import { GrpcClient, message } from './grpc-kv.ts';
import { type Hlc, ZERO } from './kv-api.ts';
import { KEY_VALUE_STREAM, PayloadStream } from './payload-stream.ts';
import type { PrefixRequest, RangeRequest, ScanApi, ScanPage } from './scan-api.ts';

/**
 * Reads of many keys as the .NET client asks for them: buckets and prefixes on the batch stream, ranges page by page in unary
 * calls, each from the last key of the one before (grpc §7.2, §8.7).
 */
export class StreamScans implements ScanApi {
  readonly name = 'gRPC batch stream';
  private readonly stream: PayloadStream;
  private readonly grpc: GrpcClient;

  constructor(address: string) {
    this.stream = new PayloadStream(address, KEY_VALUE_STREAM);
    this.grpc = new GrpcClient(address);
  }

  async bucket(request: PrefixRequest): Promise<ScanPage> {
    const asked = message(m.GrpcGetByBucketRequest, prefixFields(request));
    return pageOf(await this.stream.ask<m.GrpcGetByBucketResponse>('GetByBucket', asked));
  }

  async scanAll(request: PrefixRequest): Promise<ScanPage> {
    const asked = message(m.GrpcScanAllByPrefixRequest, prefixFields(request));
    return pageOf(await this.stream.ask<m.GrpcScanAllByPrefixResponse>('ScanByPrefix', asked));
  }

  async pages(request: RangeRequest): Promise<readonly ScanPage[]> {
    const pages: ScanPage[] = [];
    let { startKey: StartKey, startInclusive: StartInclusive = false } = request;
    for (;;) {
      const fields = {
        ...{ Prefix: request.prefix, Durability: request.durability as m.GrpcKeyValueDurability, Limit: request.limit ?? 0 },
        ...{ StartKey, StartInclusive, EndKey: request.endKey, EndInclusive: request.endInclusive ?? false },
        ...timestamp(request.readTimestamp),
      };
      const page = pageOf(
        await this.grpc.call('/KeyValuer/GetByRange', m.GrpcGetByRangeRequest, m.GrpcGetByRangeResponse, fields),
      );
      pages.push(page);
      const last = page.rows.at(-1);
      if (!page.hasMore || last === undefined) return pages;
      StartKey = last.key;
      StartInclusive = false;
    }
  }

  close(): void {
    this.stream.close();
    this.grpc.close();
  }
}

const prefixFields = ({ prefixKey, durability, readTimestamp }: PrefixRequest) => ({
  ...{ PrefixKey: prefixKey, Durability: durability as m.GrpcKeyValueDurability },
  ...timestamp(readTimestamp),
});

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
