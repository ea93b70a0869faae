import { type ServerWritableStream, status } from '@grpc/grpc-js';
import { type RangeQuery, ResponseType, type ScanAnswer } from '@kahuna/partition';
import { decodeRangeScan, writeRangePage } from '@kahuna/wire';
import type { UnreadOfStream } from '../gateway/unread.ts';
import { scanRefusal } from '../gateway/validate.ts';
import { cutOff, whenGone } from './cut-off.ts';
import { refusedScan, runScan } from './scans.ts';
import type { UnaryCalls } from './unary.ts';

export type RangeStreamCall = ServerWritableStream<Buffer, Buffer>;

/** Rows of a page where the client names no number (grpc §7.2). */
const DEFAULT_PAGE_ROWS = 1000;
const INT32_MAX = 0x7fff_ffff;
/**
 * Transient trouble is waited out at least so long before the stream is given up: a page that is no answer would look like the end
 * of the data to the official client (grpc §7.2). Milliseconds.
 */
const PATIENCE_MS = 30_000;
const RETRY_MS = 100;

/** `GetByRangeStream`: pages of one walk, each at the same snapshot, as fast as the client reads them. */
export async function streamRange(calls: UnaryCalls, call: RangeStreamCall): Promise<void> {
  const request = calls.decoded(call.request, decodeRangeScan, error => call.emit('error', error));
  if (request === undefined) return;
  const { query } = request.value;
  const refused = query.prefix === '' ? undefined : refusedScan(request.value);
  if (refused !== undefined && refused.type !== ResponseType.InvalidInput) {
    fail(call, 'the session is not known here');
    return;
  }
  const unread = calls.settings.unread.of(() => cutOff(call));
  whenGone(call, () => unread.close());
  if (refused !== undefined) await writePage(calls, call, unread, refused);
  else if (query.prefix !== '') {
    const walk = new RangeWalk(calls, call, unread, query as RangeQuery);
    if (!(await walk.run())) return;
  }
  call.end();
}

function fail(call: RangeStreamCall, details: string): void {
  call.emit('error', { code: status.INTERNAL, details });
}

/** Resolves when the client has room for more, or is gone. */
function writePage(calls: UnaryCalls, call: RangeStreamCall, unread: UnreadOfStream, page: ScanAnswer): Promise<void> {
  const encoded = calls.encoded(writer => writeRangePage(writer, page));
  unread.add(encoded.length);
  if (call.write(encoded, () => unread.remove(encoded.length)) || call.cancelled) return Promise.resolve();
  return new Promise(resolve => {
    const done = (): void => {
      call.off('drain', done);
      call.off('cancelled', done);
      resolve();
    };
    call.on('drain', done);
    call.on('cancelled', done);
  });
}

/** One walk over a range. Each page of the node fits one message; its cursor holds the snapshot that all of them show. */
class RangeWalk {
  private readonly calls: UnaryCalls;
  private readonly call: RangeStreamCall;
  private readonly unread: UnreadOfStream;
  private query: RangeQuery;

  constructor(calls: UnaryCalls, call: RangeStreamCall, unread: UnreadOfStream, query: RangeQuery) {
    this.calls = calls;
    this.call = call;
    this.unread = unread;
    const wantsAll = query.limit <= 0 || query.limit === INT32_MAX;
    this.query = { ...query, limit: wantsAll ? DEFAULT_PAGE_ROWS : query.limit };
  }

  /** False: the stream has ended with an error, or the client is gone. */
  async run(): Promise<boolean> {
    for (;;) {
      const page = await this.read();
      if (page === undefined || this.call.cancelled) return false;
      await writePage(this.calls, this.call, this.unread, page);
      if (!page.hasMore) return true;
      this.query = { ...this.query, cursor: page.nextCursor };
    }
  }

  private async read(): Promise<ScanAnswer | undefined> {
    const { clock } = this.calls.settings;
    const limitMs = clock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const answer = this.calls.stopping
        ? scanRefusal(ResponseType.Errored)
        : await runScan(this.calls, { query: this.query, identity: 0 }, this.calls.deadlineOf(this.call), true);
      if (answer.type === ResponseType.Get) return answer;
      if (this.call.cancelled) return undefined;
      if (answer.type !== ResponseType.MustRetry || clock.monotonicMs() >= limitMs) {
        fail(this.call, answer.type === ResponseType.Aborted ? 'history was pruned' : 'the range cannot be read now');
        return undefined;
      }
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}
