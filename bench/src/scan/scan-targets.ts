import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS, message, Persistent, Type } from '@kahuna/e2e';
import { keyValueMessages as m } from '@kahuna/wire';
import { type EtcdMethod, etcdService } from '../load/etcd-service.ts';
import type { Done, RepeatedOperation, RepeatingTarget } from '../load/target.ts';

/** Rows of a page, the same for all: what our stream takes where the client names no number. */
const PAGE_ROWS = 1000;

const encode = (request: m.GrpcGetByRangeRequest): Buffer => Buffer.from(m.GrpcGetByRangeRequest.encode(request).finish());
const decodePage = (bytes: Buffer): m.GrpcGetByRangeResponse => m.GrpcGetByRangeResponse.decode(bytes);
const decodeStreamed = (bytes: Buffer): m.GrpcGetByRangePageResponse => m.GrpcGetByRangePageResponse.decode(bytes);

/** All keys of the comparison lie in one key space: `bench/00000000` gives `bench`. */
const spaceOf = (name: string): string => name.slice(0, name.lastIndexOf('/'));

abstract class KahunaScan implements RepeatingTarget {
  protected readonly client: grpc.Client;
  /** So many there must be: a scan that misses some has failed, however fast it was. */
  protected readonly rows: number;

  constructor(address: string, rows: number) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.rows = rows;
  }

  abstract repeat(operation: RepeatedOperation, name: string, worker: number, done: Done): void;

  protected request(name: string): m.GrpcGetByRangeRequest {
    return message(m.GrpcGetByRangeRequest, {
      Prefix: spaceOf(name),
      StartInclusive: true,
      Limit: PAGE_ROWS,
      Durability: Persistent,
    });
  }

  close(): void {
    this.client.close();
  }
}

/** Page after page by unary calls, each from where the last one ended. */
export class KahunaPagesTarget extends KahunaScan {
  override repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    const order = new Order();
    const page = (request: m.GrpcGetByRangeRequest): void => {
      this.client.makeUnaryRequest('/KeyValuer/GetByRange', encode, decodePage, request, (error, answer) => {
        if (error || answer?.Type !== Type.Get) {
          done(false);
          return;
        }
        order.take(answer.Items);
        if (answer.HasMore) page({ ...request, StartKey: order.last, StartInclusive: false });
        else done(order.holds(this.rows));
      });
    };
    page(this.request(name));
  }
}

/** The same pages pushed by the server on one stream, all of one instant: what our client library does. */
export class KahunaStreamTarget extends KahunaScan {
  override repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    const order = new Order();
    const call = this.client.makeServerStreamRequest('/KeyValuer/GetByRangeStream', encode, decodeStreamed, this.request(name));
    let ended = false;
    const end = (ok: boolean): void => {
      if (ended) return;
      ended = true;
      done(ok);
    };
    call.on('data', (page: m.GrpcGetByRangePageResponse) => order.take(page.Items));
    call.on('error', () => end(false));
    call.on('end', () => end(order.holds(this.rows)));
  }
}

interface EtcdRow {
  readonly key: Buffer;
}

interface RangeClient extends grpc.Client {
  range: EtcdMethod<
    { key: Buffer; range_end: Buffer; limit: number; revision: number },
    { kvs: readonly EtcdRow[]; more: boolean; header: { revision: number } }
  >;
}

/** Page after page; the revision of the first page is asked of the others, so that all show one instant. */
export class EtcdPagesTarget implements RepeatingTarget {
  private readonly client: RangeClient;
  private readonly rows: number;

  constructor(address: string, rows: number) {
    this.client = etcdService(address, 'etcd.proto', 'etcdserverpb', 'KV');
    this.rows = rows;
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    const order = new Order();
    const prefix = `${spaceOf(name)}/`;
    const rangeEnd = Buffer.from(`${spaceOf(name)}0`); // '0' follows '/'
    const page = (key: Buffer, revision: number): void => {
      this.client.range({ key, range_end: rangeEnd, limit: PAGE_ROWS, revision }, (error, answer) => {
        if (error || !answer) {
          done(false);
          return;
        }
        order.take(answer.kvs.map(row => ({ Key: row.key.toString() })));
        if (answer.more) page(Buffer.from(`${order.last}\0`), revision || answer.header.revision);
        else done(order.holds(this.rows));
      });
    };
    page(Buffer.from(prefix), 0);
  }

  close(): void {
    this.client.close();
  }
}

/** Counts rows and notices when one does not follow the one before. */
class Order {
  last = '';
  private count = 0;
  private broken = false;

  take(rows: readonly { readonly Key: string }[]): void {
    for (const { Key: key } of rows) {
      if (key <= this.last) this.broken = true;
      this.last = key;
    }
    this.count += rows.length;
  }

  holds(rows: number): boolean {
    return !this.broken && this.count === rows;
  }
}
