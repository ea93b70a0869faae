import { assert } from '@kahuna/base';

/**
 * The transfer of one snapshot between two replicas, as two pure state machines. A snapshot travels as numbered chunks over a link
 * that may lose, repeat and reorder messages and may break at any time; neither side ever holds more than a window of it.
 *
 *     sender                                    receiver
 *     begin(header) ───────────────────────────▶          stages from scratch, or goes on where it was
 *                   ◀─────────────────────────── ack 0
 *     chunk 0, 1, 2 ───────────────────────────▶          the host takes 0, 1, 2 in order and writes them
 *                   ◀─────────────────────────── ack 3
 *     chunk 3 (last)──────────× lost
 *       … retry ticks: begin ──────────────────▶          "where are you?"
 *                   ◀─────────────────────────── ack 3
 *     chunk 3 ─────────────────────────────────▶
 *                   ◀─────────────────────────── ack 4    all taken: done
 *
 * An acknowledgement names the first chunk that the receiving host has not consumed yet; so whatever is acknowledged needs no
 * sending again, also after the link was made anew, and a slow disk at the receiver slows the sender down. When the installation is
 * durable the host tells the core (`restore`), whose own message tells the leader; these machines only move bytes.
 */
export type SnapshotMessage = SnapshotBegin | SnapshotChunk | SnapshotAck | SnapshotAbort;

/** Opens a transfer, and asks where the receiver stands. `header` is the host's: index, term, configuration, identities. */
export interface SnapshotBegin {
  readonly kind: 'begin';
  /** Chosen by the sending host, unique among its transfers of all its lives: a new number is a new transfer. */
  readonly transfer: number;
  readonly header: Uint8Array;
}

export interface SnapshotChunk {
  readonly kind: 'chunk';
  readonly transfer: number;
  /** From 0. */
  readonly number: number;
  readonly last: boolean;
  readonly data: Uint8Array;
}

export interface SnapshotAck {
  readonly kind: 'ack';
  readonly transfer: number;
  /** The receiving state machine that speaks; see {@link SnapshotReceiver}. */
  readonly receiver: number;
  /** First chunk not consumed yet. */
  readonly next: number;
}

/** Either side gives the transfer up. */
export interface SnapshotAbort {
  readonly kind: 'abort';
  readonly transfer: number;
  readonly reason: string;
}

export interface SnapshotTransferLimits {
  /** Chunks sent and not acknowledged; at the receiver: taken in and not consumed. */
  readonly windowChunks: number;
  /** Bytes of chunks sent and not acknowledged; one chunk may always be under way. */
  readonly windowBytes: number;
  /** Ticks without progress after which the sender asks where the receiver stands. */
  readonly retryTicks: number;
  /** Ticks without progress after which a side gives up. */
  readonly timeoutTicks: number;
}

export type SenderState = 'opening' | 'streaming' | 'done' | 'aborted';

/**
 * The sending side. The host asks {@link wantedChunk}, reads that chunk (from one engine snapshot, in its own time), hands it over
 * with {@link supply}, and sends what {@link takeMessages} returns.
 *
 * Invariants: acknowledged <= nextToSend <= supplied; chunks below `acknowledged` are forgotten; supplied − acknowledged is bounded
 * by the window. (Checked in snapshot-transfer.test.ts over lossy links.)
 */
export class SnapshotSender {
  state: SenderState = 'opening';
  /** Why the transfer was aborted; empty otherwise. */
  abortReason = '';
  private readonly transfer: number;
  private readonly header: Uint8Array;
  private readonly limits: SnapshotTransferLimits;
  /** Who answered first; 0 = nobody yet. */
  private receiver = 0;
  private acknowledged = 0;
  private nextToSend = 0;
  private lastNumber = -1;
  /** Chunks `acknowledged …`, kept until they are acknowledged. */
  private window: SnapshotChunk[] = [];
  private windowBytes = 0;
  private idleTicks = 0;
  private sinceAskedTicks = 0;
  private out: SnapshotMessage[] = [];

  constructor(transfer: number, header: Uint8Array, limits: SnapshotTransferLimits) {
    assert(limits.windowChunks >= 1, 'a window holds a chunk');
    this.transfer = transfer;
    this.header = header;
    this.limits = limits;
    this.askPosition();
  }

  get finished(): boolean {
    return this.state === 'done' || this.state === 'aborted';
  }

  /** Chunks that the receiver has consumed. */
  get acknowledgedChunks(): number {
    return this.acknowledged;
  }

  get bufferedBytes(): number {
    return this.windowBytes;
  }

  /** Number of the chunk to be read next, or undefined while the window is full or nothing is left. */
  wantedChunk(): number | undefined {
    if (this.state !== 'streaming' || this.lastNumber >= 0) return undefined;
    const full = this.window.length >= this.limits.windowChunks || this.windowBytes >= this.limits.windowBytes;
    return full ? undefined : this.acknowledged + this.window.length;
  }

  /** Hands over the chunk that was wanted. Ignored when the transfer has ended meanwhile. */
  supply(number: number, data: Uint8Array, last: boolean): void {
    if (this.finished) return;
    assert(number === this.acknowledged + this.window.length && this.lastNumber < 0, 'chunks are supplied in order');
    this.window.push({ kind: 'chunk', transfer: this.transfer, number, last, data });
    this.windowBytes += data.length;
    if (last) this.lastNumber = number;
    this.sendWindow();
  }

  step(message: SnapshotMessage): void {
    if (message.transfer !== this.transfer || this.finished) return;
    if (message.kind === 'abort') this.end('aborted', message.reason);
    else if (message.kind === 'ack') this.onAck(message.receiver, message.next);
  }

  /** The link was made anew: what was under way is lost, and the receiver may have been restarted. */
  linkReset(): void {
    if (this.finished) return;
    this.nextToSend = this.acknowledged;
    this.askPosition();
  }

  tick(): void {
    if (this.finished) return;
    // While the host reads a chunk the receiver owes nothing; a reader that never ends is the host's to stop.
    const waitsForHost = this.state === 'streaming' && this.window.length === 0;
    this.idleTicks = waitsForHost ? 0 : this.idleTicks + 1;
    if (this.idleTicks >= this.limits.timeoutTicks) this.abort('timeout');
    else if (!waitsForHost && ++this.sinceAskedTicks >= this.limits.retryTicks) this.askPosition();
  }

  abort(reason: string): void {
    if (this.finished) return;
    this.out.push({ kind: 'abort', transfer: this.transfer, reason });
    this.end('aborted', reason);
  }

  takeMessages(): SnapshotMessage[] {
    const out = this.out;
    if (out.length > 0) this.out = [];
    return out;
  }

  private onAck(receiver: number, next: number): void {
    if (this.state === 'opening') {
      this.state = 'streaming';
      this.receiver = receiver;
    }
    if (receiver !== this.receiver) {
      // It lost what it had acknowledged (a restart, say), and those chunks are gone here too.
      this.abort('receiver began anew');
      return;
    }
    const consumed = next - this.acknowledged;
    // Below: an old answer. Beyond what was ever sent: not an answer to us.
    if (consumed < 0 || consumed > this.window.length) return;
    if (consumed > 0) {
      for (let i = 0; i < consumed; i++) this.windowBytes -= (this.window[i] as SnapshotChunk).data.length;
      this.window.splice(0, consumed);
      this.acknowledged = next;
      if (this.nextToSend < next) this.nextToSend = next;
      this.idleTicks = 0;
      this.sinceAskedTicks = 0;
      if (this.lastNumber >= 0 && next > this.lastNumber) {
        this.end('done', '');
        return;
      }
    }
    this.sendWindow();
  }

  /** Sends `begin`: its answer says where to go on, so everything unacknowledged is sent again behind it. */
  private askPosition(): void {
    this.sinceAskedTicks = 0;
    this.nextToSend = this.acknowledged;
    this.out.push({ kind: 'begin', transfer: this.transfer, header: this.header });
    if (this.state === 'streaming') this.sendWindow();
  }

  private sendWindow(): void {
    const end = this.acknowledged + this.window.length;
    for (; this.nextToSend < end; this.nextToSend++) {
      this.out.push(this.window[this.nextToSend - this.acknowledged] as SnapshotChunk);
    }
  }

  private end(state: 'done' | 'aborted', reason: string): void {
    this.state = state;
    this.abortReason = reason;
    this.window = [];
    this.windowBytes = 0;
  }
}

export type ReceiverState = 'receiving' | 'complete' | 'aborted';

/**
 * The receiving side, created by the host from a `begin`. The host calls {@link takeChunk}, writes the chunk to its staging area and
 * reports {@link consumed}; it sends what {@link takeMessages} returns. Chunks come out in order, each once.
 */
export class SnapshotReceiver {
  readonly transfer: number;
  readonly header: Uint8Array;
  /** Number of this state machine, unique among those of all lives of the node and above 0: tells a new one from a late message. */
  readonly receiver: number;
  state: ReceiverState = 'receiving';
  abortReason = '';
  private readonly limits: SnapshotTransferLimits;
  /** First chunk not consumed by the host. */
  private next = 0;
  /** First chunk not handed to the host; at most one ahead of `next`. */
  private nextToTake = 0;
  private lastNumber = -1;
  /** Arrived and not handed out, by number. */
  private readonly waiting = new Map<number, SnapshotChunk>();
  private waitingBytes = 0;
  private idleTicks = 0;
  private out: SnapshotMessage[] = [];

  constructor(begin: SnapshotBegin, receiver: number, limits: SnapshotTransferLimits) {
    assert(receiver > 0, 'receivers are numbered from 1');
    this.receiver = receiver;
    this.transfer = begin.transfer;
    this.header = begin.header;
    this.limits = limits;
    this.acknowledge();
  }

  get bufferedBytes(): number {
    return this.waitingBytes;
  }

  step(message: SnapshotMessage): void {
    if (message.transfer !== this.transfer || this.state === 'aborted') return;
    if (message.kind === 'begin') this.acknowledge();
    else if (message.kind === 'chunk') this.onChunk(message);
    else if (message.kind === 'abort' && this.state === 'receiving') this.end('aborted', message.reason);
  }

  /** The next chunk in order, if it is here and the one before it was consumed. */
  takeChunk(): SnapshotChunk | undefined {
    if (this.state !== 'receiving' || this.nextToTake !== this.next) return undefined;
    const chunk = this.waiting.get(this.next);
    if (chunk === undefined) return undefined;
    this.waiting.delete(this.next);
    this.waitingBytes -= chunk.data.length;
    this.nextToTake = this.next + 1;
    return chunk;
  }

  /** The host has written the chunk it took. */
  consumed(number: number): void {
    if (this.state !== 'receiving') return;
    assert(number === this.next && this.nextToTake === number + 1, 'chunks are consumed in the order they were taken');
    this.next = number + 1;
    this.idleTicks = 0;
    if (this.lastNumber >= 0 && this.next > this.lastNumber) this.end('complete', '');
    this.acknowledge();
  }

  tick(): void {
    if (this.state !== 'receiving') return;
    this.idleTicks += 1;
    if (this.idleTicks >= this.limits.timeoutTicks) this.abort('timeout');
  }

  abort(reason: string): void {
    if (this.state !== 'receiving') return;
    this.out.push({ kind: 'abort', transfer: this.transfer, reason });
    this.end('aborted', reason);
  }

  takeMessages(): SnapshotMessage[] {
    const out = this.out;
    if (out.length > 0) this.out = [];
    return out;
  }

  private onChunk(chunk: SnapshotChunk): void {
    if (chunk.number < this.nextToTake) {
      // A repetition: the acknowledgement may have been lost.
      this.acknowledge();
      return;
    }
    const beyondWindow = chunk.number >= this.next + this.limits.windowChunks;
    // Out of order and over the bound: dropped, it comes again. The chunk that is due is always taken in.
    const overBytes = chunk.number !== this.next && this.waitingBytes + chunk.data.length > this.limits.windowBytes;
    if (this.state !== 'receiving' || beyondWindow || overBytes || this.waiting.has(chunk.number)) return;
    this.waiting.set(chunk.number, chunk);
    this.waitingBytes += chunk.data.length;
    this.idleTicks = 0;
    if (chunk.last) this.lastNumber = chunk.number;
  }

  /** One acknowledgement per batch of messages is enough: the latest says all. */
  private acknowledge(): void {
    const last = this.out[this.out.length - 1];
    if (last?.kind === 'ack') this.out.pop();
    this.out.push({ kind: 'ack', transfer: this.transfer, receiver: this.receiver, next: this.next });
  }

  private end(state: 'complete' | 'aborted', reason: string): void {
    this.state = state;
    this.abortReason = reason;
    this.waiting.clear();
    this.waitingBytes = 0;
  }
}
