import { type Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { DecodeError } from '@kahuna/base';
import type { KahunaNode, ResultSink } from '@kahuna/node';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import {
  addEncoded,
  EnvelopeFrames,
  type EnvelopeLayout,
  EnvelopeReader,
  MAX_BATCH_MESSAGE_BYTES,
  TooManyItemsError,
} from '@kahuna/wire';
import type { UnreadOfStream } from '../gateway/unread.ts';
import { refusal } from '../gateway/validate.ts';
import { cutOff } from './cut-off.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import type { RouteHints } from './route-hints.ts';

/** Requests received and not yet answered, from which on the stream is not read: back-pressure reaches the client by flow control (grpc §8.2). */
const MAX_IN_FLIGHT = 4096;
/** The same in bytes of request messages, so that large ones are held back earlier. */
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024;
/** Answers that wait for the client to read, from which on the stream is not read. Bytes. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;
/** What a client that reads has under way in any case, however much others have left unread. Bytes. */
const MIN_UNSENT_BYTES = 1024 * 1024;
/** The official client gives a request up after 30 s: whatever is not decided by then is answered MustRetry before. Milliseconds. */
export const REQUEST_DEADLINE_MS = 25_000;

/** 64 KiB each. */
const MAX_SPARE_FRAMES = 64;

const EMPTY = new Uint8Array(0);

/** Frame writers that are not in use: a stream holds one only while it has something to say. */
export class FramePool {
  readonly layout: EnvelopeLayout;
  private readonly spare: EnvelopeFrames[] = [];

  constructor(layout: EnvelopeLayout) {
    this.layout = layout;
  }

  take(): EnvelopeFrames {
    return this.spare.pop() ?? new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, this.layout);
  }

  giveBack(frames: EnvelopeFrames): void {
    if (this.spare.length === MAX_SPARE_FRAMES) return;
    frames.clear();
    this.spare.push(frames);
  }
}

/** What all batch streams of one service share. */
export interface BatchContext {
  readonly node: KahunaNode;
  readonly hints: RouteHints;
  readonly settings: GrpcSettings;
  readonly frames: FramePool;
}

export type BatchCall = ServerDuplexStream<Buffer, Buffer>;

/** One message of the stream, for as long as some request in it is not answered. */
export interface RequestMessage {
  readonly bytes: number;
  unanswered: number;
}

interface DeferredAnswer {
  readonly type: number;
  readonly requestId: number;
  readonly result: OperationResult;
  readonly elapsedMs: number;
  readonly exactRevision: bigint | undefined;
}

/**
 * One client batch stream (grpc §8), whatever its envelopes carry.
 *
 * Requests start as they arrive and are answered as they complete, in any order. Everything that is ready in one turn of the event
 * loop leaves in one frame, where the client takes frames; while a write is on its way, the next one collects. A request is in
 * flight until its answer is written: exactly one answer each, unless the client goes away first.
 */
export abstract class BatchStream implements ResultSink {
  protected readonly context: BatchContext;
  protected readonly envelopes: EnvelopeReader;
  /** When the message at hand arrived, monotonic. */
  protected receivedMs = 0;
  private readonly call: BatchCall;
  private readonly onEnd: (stream: BatchStream) => void;

  /** Requests at the node, by token; parallel arrays because there are many and short-lived ones. */
  private readonly requestIds: number[] = [];
  private readonly types: number[] = [];
  private readonly startedMs: number[] = [];
  private readonly messages: RequestMessage[] = [];
  private readonly freeTokens: number[] = [];
  private readonly exactRevisions = new Map<number, bigint>();

  /** The client has shown that it takes frames. */
  private framing = false;
  private collecting: EnvelopeFrames | undefined;
  private answersCollected = 0;
  private collectedBytes = 0;
  /** Values of answers that are not written yet. */
  private unsentBytes = 0;
  /** Answers with values that are encoded only when there is room: until then they cost a reference, not a copy. */
  private deferred: DeferredAnswer[] = [];
  /** Their values, each counted once however many wait for it: that of a key which everybody reads is in memory once. */
  private readonly deferredValues = new Map<Uint8Array, number>();
  private deferredBytes = 0;
  /**
   * A client may ask for much with few bytes, and not read, on as many streams as it likes. What would have to wait beyond the bound of the
   * node is refused, which for a read is as good as not to have been asked.
   */
  private readonly unread: UnreadOfStream;
  private flushScheduled = false;
  private writing = false;

  private inFlight = 0;
  private inFlightBytes = 0;
  private paused = false;
  /** Monotonic time of this turn, 0 if nobody asked yet: one reading of the clock serves all answers of a turn. */
  private turnMs = 0;

  /** Nothing more is read; the stream ends with this status once all is answered. */
  private ending: number | undefined;
  private ended = false;

  constructor(call: BatchCall, context: BatchContext, headers: Metadata, onEnd: (stream: BatchStream) => void) {
    this.call = call;
    this.context = context;
    this.envelopes = new EnvelopeReader(context.frames.layout);
    this.unread = context.settings.unread.of(() => cutOff(call));
    this.onEnd = onEnd;
    call.sendMetadata(headers);
    call.on('data', (message: Buffer) => this.receive(message));
    call.on('end', () => this.finish(status.OK));
    call.on('cancelled', () => this.abandon());
  }

  /** Starts the request that the envelope reader stands at; it is in flight already. */
  protected abstract start(message: Buffer, source: RequestMessage): void;
  /** Adds an answer to the frame; false if it is too large for the stream and nothing was added. */
  protected abstract encode(
    frames: EnvelopeFrames,
    type: number,
    requestId: number,
    result: OperationResult,
    elapsedMs: number,
    exactRevision: bigint | undefined,
  ): boolean;

  /** The server stops: reads no more, answers what is in flight, then tells the client to go elsewhere. */
  drain(): void {
    this.finish(status.UNAVAILABLE);
  }

  // ---- requests ------------------------------------------------------------------------------------------------------------

  private receive(message: Buffer): void {
    if (this.ending !== undefined || this.ended) return;
    this.receivedMs = this.context.settings.clock.monotonicMs();
    const source: RequestMessage = { bytes: message.length, unanswered: 0 };
    this.inFlightBytes += source.bytes;
    source.unanswered += 1;
    try {
      this.envelopes.reset(message);
      if (this.envelopes.isFrame) this.allowFrames();
      while (this.envelopes.next()) {
        this.inFlight += 1;
        this.start(message, source);
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) this.context.settings.onFault('reading a batch message', error);
      this.finish(status.UNAVAILABLE);
    }
    this.release(source);
    this.balance();
  }

  /** Answers of one turn leave in frames from here on. */
  protected allowFrames(): void {
    this.framing = true;
    this.collecting?.allowFrames();
  }

  /** Hands an operation to the node; its answer comes to {@link complete}. */
  protected submit(
    operation: Parameters<KahunaNode['submit']>[0],
    type: number,
    requestId: number,
    source: RequestMessage,
    exactRevision: bigint | undefined,
  ): void {
    const token = this.takeToken(type, requestId, source);
    if (exactRevision !== undefined) this.exactRevisions.set(token, exactRevision);
    try {
      this.context.node.submit(operation, this, token, this.receivedMs + REQUEST_DEADLINE_MS);
    } catch (error) {
      this.context.settings.onFault('submitting an operation', error);
      this.complete(token, refusal(ResponseType.MustRetry));
    }
  }

  private takeToken(type: number, requestId: number, source: RequestMessage): number {
    const token = this.freeTokens.pop() ?? this.requestIds.length;
    this.requestIds[token] = requestId;
    this.types[token] = type;
    this.startedMs[token] = this.receivedMs;
    this.messages[token] = source;
    source.unanswered += 1;
    return token;
  }

  protected refuseUndecodable(error: unknown, what: string): void {
    if (!(error instanceof DecodeError) && !(error instanceof TooManyItemsError)) this.context.settings.onFault(what, error);
  }

  // ---- answers -------------------------------------------------------------------------------------------------------------

  complete(token: number, result: OperationResult): void {
    const type = this.types[token] as number;
    const requestId = this.requestIds[token] as number;
    const startedMs = this.startedMs[token] as number;
    this.release(this.messages[token] as RequestMessage);
    const exactRevision = this.exactRevisions.size === 0 ? undefined : this.takeExactRevision(token);
    this.freeTokens.push(token);
    this.answer(type, requestId, result, this.elapsedMs(startedMs), exactRevision);
  }

  private takeExactRevision(token: number): bigint | undefined {
    const revision = this.exactRevisions.get(token);
    this.exactRevisions.delete(token);
    return revision;
  }

  /** Monotonic time of this turn. */
  protected now(): number {
    if (this.turnMs === 0) {
      this.turnMs = this.context.settings.clock.monotonicMs();
      this.scheduleFlush();
    }
    return this.turnMs;
  }

  protected elapsedMs(startedMs: number): number {
    return Math.max(0, Math.floor(this.now() - startedMs));
  }

  /** The answer of the node, or a refusal of our own. */
  protected answer(
    type: number,
    requestId: number,
    result: OperationResult,
    elapsedMs: number,
    exactRevision: bigint | undefined,
  ): void {
    if (this.ended) return;
    if (result.value !== null && !this.takesMore) {
      if (this.retainValue(result.value)) {
        this.deferred.push({ type, requestId, result, elapsedMs, exactRevision });
        this.scheduleFlush();
      } else this.answer(type, requestId, refusal(ResponseType.MustRetry), elapsedMs, undefined);
      return;
    }
    const frames = this.frames();
    if (!this.encode(frames, type, requestId, result, elapsedMs, exactRevision)) {
      this.encode(frames, type, requestId, refusal(ResponseType.Errored), elapsedMs, undefined);
    }
    this.answered(result.value === null ? 0 : result.value.length);
  }

  /** The client has so little under way that an answer may go out at once. */
  protected get takesMore(): boolean {
    return this.unsentBytes <= (this.context.settings.unread.isFull ? MIN_UNSENT_BYTES : MAX_UNSENT_BYTES);
  }

  /** So much more may wait for the client to read. */
  protected mayWait(bytes: number): boolean {
    const notCounted = this.unsentBytes + this.deferredBytes - this.unread.bytes;
    return this.context.settings.unread.hasRoomFor(notCounted + bytes);
  }

  /** Once for all answers of a turn, and when some were taken. */
  private countUnread(): void {
    const more = this.unsentBytes + this.deferredBytes - this.unread.bytes;
    if (more > 0) this.unread.add(more);
    else this.unread.remove(-more);
  }

  /** False where there is no room for it. */
  private retainValue(value: Uint8Array): boolean {
    const count = this.deferredValues.get(value) ?? 0;
    if (count === 0) {
      if (!this.mayWait(value.length)) return false;
      this.deferredBytes += value.length;
    }
    this.deferredValues.set(value, count + 1);
    return true;
  }

  private releaseValue(value: Uint8Array): void {
    const count = this.deferredValues.get(value) ?? 0;
    if (count > 1) {
      this.deferredValues.set(value, count - 1);
      return;
    }
    this.deferredValues.delete(value);
    this.deferredBytes -= value.length;
  }

  /** The client has read on: what waited for room is encoded as far as there is some. */
  private encodeDeferred(): void {
    if (this.deferred.length === 0) return;
    let next = 0;
    for (; next < this.deferred.length && this.takesMore; next++) {
      const { type, requestId, result, elapsedMs, exactRevision } = this.deferred[next] as DeferredAnswer;
      if (result.value !== null) this.releaseValue(result.value);
      this.answer(type, requestId, result, elapsedMs, exactRevision);
    }
    this.deferred.splice(0, next);
  }

  /** An answer that is encoded already. `tooLarge` goes in its place where the stream would not bear it. */
  protected answerEncoded(type: number, requestId: number, payload: Uint8Array, tooLarge: Uint8Array = EMPTY): void {
    if (this.ended) return;
    if (!addEncoded(this.frames(), type, requestId, payload)) addEncoded(this.frames(), type, requestId, tooLarge);
    this.answered(payload.length);
  }

  /** An envelope without type and payload: the request was none (grpc §8.4). */
  protected answerBare(requestId: number): void {
    if (this.ended) return;
    this.frames().addBare(0, requestId);
    this.answered(0);
  }

  private frames(): EnvelopeFrames {
    if (this.collecting === undefined) {
      this.collecting = this.context.frames.take();
      if (this.framing) this.collecting.allowFrames();
    }
    return this.collecting;
  }

  private answered(bytes: number): void {
    this.answersCollected += 1;
    this.collectedBytes += bytes;
    this.unsentBytes += bytes;
    this.scheduleFlush();
  }

  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    setImmediate(() => {
      this.flushScheduled = false;
      this.turnMs = 0;
      this.countUnread();
      this.flush();
    });
  }

  /** Writes what has collected, unless the last write is still under way: then its completion comes back here. */
  private flush(): void {
    const frames = this.collecting;
    if (this.ended || this.writing || frames === undefined) return;
    this.collecting = undefined;
    const answers = this.answersCollected;
    const bytes = this.collectedBytes;
    this.answersCollected = 0;
    this.collectedBytes = 0;
    this.writing = true;
    const messages = frames.take();
    const last = messages.length - 1;
    messages.forEach((message, i) => {
      const buffer = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
      this.call.write(buffer, i === last ? () => this.written(frames, answers, bytes) : undefined);
    });
  }

  private written(frames: EnvelopeFrames, answers: number, bytes: number): void {
    this.context.frames.giveBack(frames);
    this.writing = false;
    this.inFlight -= answers;
    this.unsentBytes -= bytes;
    if (this.ended) return;
    this.encodeDeferred();
    this.countUnread();
    this.flush();
    this.balance();
    this.endIfDone();
  }

  // ---- flow and end --------------------------------------------------------------------------------------------------------

  protected retain(source: RequestMessage): void {
    source.unanswered += 1;
  }

  protected release(source: RequestMessage): void {
    source.unanswered -= 1;
    if (source.unanswered === 0) this.inFlightBytes -= source.bytes;
  }

  /** Reads from the stream exactly while there is room for more. */
  private balance(): void {
    if (this.ending !== undefined || this.ended) return;
    const full = this.inFlight > MAX_IN_FLIGHT || this.inFlightBytes > MAX_IN_FLIGHT_BYTES || this.unsentBytes > MAX_UNSENT_BYTES;
    if (full === this.paused) return;
    this.paused = full;
    if (full) this.call.pause();
    else this.call.resume();
  }

  private finish(code: number): void {
    if (this.ending !== undefined || this.ended) return;
    this.ending = code;
    if (code !== status.OK) this.call.pause();
    this.endIfDone();
  }

  private endIfDone(): void {
    if (this.ending === undefined || this.ended || this.inFlight > 0) return;
    const code = this.ending;
    this.leave();
    if (code === status.OK) this.call.end();
    else this.call.emit('error', { code, details: 'the stream ends here: reconnect' });
  }

  /** The client is gone: what is still in flight completes without an answer. */
  private abandon(): void {
    if (this.ended) return;
    this.leave();
  }

  private leave(): void {
    this.ended = true;
    this.collecting = undefined;
    this.deferred = [];
    this.deferredValues.clear();
    this.unread.close();
    this.onEnd(this);
  }
}
