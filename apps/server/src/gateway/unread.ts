import type { Clock } from '@kahuna/base';

/**
 * What clients have asked for and not read yet, of the whole node: over gRPC, REST and WebSockets together. Waiting room that each stream had
 * for itself would be none at all, since a client may open as many streams as it likes. Bytes.
 */
export const MAX_UNREAD_BYTES = 256 * 1024 * 1024;
/** Who has taken nothing for so long does not read, unless what he was given takes longer at {@link SLOWEST_BYTES_PER_MS}. Milliseconds. */
const DEAF_MS = 1000;
/** A message counts as taken once all of it is, so a large one must be given its time. */
const SLOWEST_BYTES_PER_MS = 4096;
/** Room is made down to this share of the bound, so that it need not be made again for every message. */
const RELIEVED = 0.75;

/**
 * The unread answers of a node. What is sent and taken costs a counter and a place in a list; nobody is looked at before the bound is reached.
 *
 * U1 Beyond the bound those are cut off that hold more than their share and have taken nothing for a second, and a second more for each 4 MB that they
 *    hold, the longest silent first. Who reads, and no slower than that, is never cut off, however much is on its way to him: as long as all do,
 *    what clients take bounds what is sent.
 * U2 Until they are, a stream is given no more than it can have under way ({@link isFull}); reads that would have to wait are refused.
 */
export class Unread {
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private readonly maxBytes: number;
  private bytes = 0;
  /** Those who have something to take, the one that has taken nothing for longest first. */
  private readonly behind = new Set<UnreadOfStream>();
  private timer: NodeJS.Timeout | undefined;
  /** Streams that were cut off. */
  cuts = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>, maxBytes = MAX_UNREAD_BYTES) {
    this.clock = clock;
    this.maxBytes = maxBytes;
  }

  /** `cut` gives back what the stream holds, and ends it so that its client may come again. */
  of(cut: () => void): UnreadOfStream {
    return new UnreadOfStream(this, cut);
  }

  /** Nothing may be put by for clients any more. */
  get isFull(): boolean {
    return this.bytes > this.maxBytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.bytes + bytes <= this.maxBytes;
  }

  /** The stream's account has grown by `delta`. */
  changed(stream: UnreadOfStream, delta: number): void {
    this.bytes += delta;
    if (delta > 0) {
      if (!this.behind.has(stream)) this.moved(stream);
      if (this.isFull) this.relieveLater();
    } else if (stream.bytes === 0) this.behind.delete(stream);
    else this.moved(stream);
  }

  private moved(stream: UnreadOfStream): void {
    stream.movedMs = this.clock.monotonicMs();
    this.behind.delete(stream);
    this.behind.add(stream);
  }

  /** Behind a turn of the event loop in which sockets are asked: after a pause of this process, all would seem deaf. */
  private relieveLater(): void {
    this.timer ??= setTimeout(() => {
      setImmediate(() => {
        this.timer = undefined;
        this.relieve();
        if (this.isFull) this.relieveLater();
      });
    }, DEAF_MS).unref();
  }

  /** One pass: those who hold half of their equal share or less together hold half of the bound at most, so the others are enough. */
  private relieve(): void {
    if (!this.isFull) return;
    const share = this.maxBytes / 2 / this.behind.size;
    const silentSinceMs = this.clock.monotonicMs() - DEAF_MS;
    for (const stream of [...this.behind]) {
      if (stream.movedMs > silentSinceMs || this.bytes <= RELIEVED * this.maxBytes) return;
      if (stream.bytes < share || stream.movedMs + stream.bytes / SLOWEST_BYTES_PER_MS > silentSinceMs) continue;
      this.cuts++;
      stream.cut();
      stream.close();
    }
  }
}

/** The account of one stream. */
export class UnreadOfStream {
  private readonly node: Unread;
  readonly cut: () => void;
  /** Not taken yet. */
  bytes = 0;
  /** When something was taken last, or began to wait. Monotonic. */
  movedMs = 0;
  private isClosed = false;

  constructor(node: Unread, cut: () => void) {
    this.node = node;
    this.cut = cut;
  }

  /** So much more waits for the client. */
  add(bytes: number): void {
    if (this.isClosed || bytes === 0) return;
    this.bytes += bytes;
    this.node.changed(this, bytes);
  }

  /** The client has taken so much, or it was given up. */
  remove(bytes: number): void {
    if (this.isClosed || bytes === 0) return;
    this.bytes -= bytes;
    this.node.changed(this, -bytes);
  }

  /** The stream is gone, with all that waited. */
  close(): void {
    this.remove(this.bytes);
    this.isClosed = true;
  }
}
