import { Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { DecodeError } from '@kahuna/base';
import type { KahunaNode, ResultSink } from '@kahuna/node';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import {
  addEncodedResponse,
  addOperationResponse,
  EnvelopeFrames,
  EnvelopeReader,
  isOneKeyType,
  isRequestType,
  keyValueMessages,
  MAX_BATCH_MESSAGE_BYTES,
  MAX_FRAME_ITEMS,
  type ManyRequest,
  type OneKeyType,
  OperationDecoder,
  TooManyItemsError,
} from '@kahuna/wire';
import { invalidInput, refusal } from '../gateway/validate.ts';
import { isPlainOperation, refusalOf } from './admission.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { decodeMany, encodeMany, encodeManyRefusal, runMany } from './many-keys.ts';
import type { RouteHints } from './route-hints.ts';

const BatchType = keyValueMessages.GrpcClientBatchType;

/** Requests received and not yet answered, from which on the stream is not read: back-pressure reaches the client by flow control (grpc §8.2). */
const MAX_IN_FLIGHT = 4096;
/** The same in bytes of request messages, so that large ones are held back earlier. */
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024;
/** Answers that wait for the client to read, from which on the stream is not read. Bytes. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;
/** The official client gives a request up after 30 s: whatever is not decided by then is answered MustRetry before. Milliseconds. */
const REQUEST_DEADLINE_MS = 25_000;

/** 64 KiB each. */
const MAX_SPARE_FRAMES = 64;

const EMPTY = new Uint8Array(0);

/** Frame writers that are not in use: a stream holds one only while it has something to say. */
export class FramePool {
  private readonly spare: EnvelopeFrames[] = [];

  take(): EnvelopeFrames {
    return this.spare.pop() ?? new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
  }

  giveBack(frames: EnvelopeFrames): void {
    if (this.spare.length === MAX_SPARE_FRAMES) return;
    frames.clear();
    this.spare.push(frames);
  }
}

/** What all streams of one server share. */
export interface BatchContext {
  readonly node: KahunaNode;
  readonly hints: RouteHints;
  readonly settings: GrpcSettings;
  readonly frames: FramePool;
}

export type BatchCall = ServerDuplexStream<Buffer, Buffer>;

/**
 * One `KeyValuer.BatchClientKeyValueRequests` stream (grpc §8).
 *
 * Requests start as they arrive and are answered as they complete, in any order. Everything that is ready in one turn of the event
 * loop leaves in one frame; while a frame is on its way, the next one collects. A request is in flight until its answer is
 * written: exactly one answer each, unless the client goes away first.
 */
export class BatchStream implements ResultSink {
  private readonly call: BatchCall;
  private readonly context: BatchContext;
  private readonly onEnd: (stream: BatchStream) => void;
  private readonly envelopes = new EnvelopeReader();
  private readonly decoder = new OperationDecoder();

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
  private flushScheduled = false;
  private writing = false;

  private inFlight = 0;
  private inFlightBytes = 0;
  private paused = false;
  /** When the message at hand arrived, monotonic. */
  private receivedMs = 0;
  /** Monotonic time of this turn, 0 if nobody asked yet: one reading of the clock serves all answers of a turn. */
  private turnMs = 0;

  /** Nothing more is read; the stream ends with this status once all is answered. */
  private ending: number | undefined;
  private ended = false;

  constructor(call: BatchCall, context: BatchContext, onEnd: (stream: BatchStream) => void) {
    this.call = call;
    this.context = context;
    this.onEnd = onEnd;
    const headers = new Metadata();
    headers.set('kahuna-batch-frames', '1');
    call.sendMetadata(headers);
    call.on('data', (message: Buffer) => this.receive(message));
    call.on('end', () => this.finish(status.OK));
    call.on('cancelled', () => this.abandon());
  }

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
      while (this.envelopes.next()) this.start(message, source);
    } catch (error) {
      if (!(error instanceof DecodeError)) this.context.settings.onFault('reading a batch message', error);
      this.finish(status.UNAVAILABLE);
    }
    this.release(source);
    this.balance();
  }

  private allowFrames(): void {
    this.framing = true;
    this.collecting?.allowFrames();
  }

  /** Starts the request that the envelope reader stands at. */
  private start(message: Buffer, source: RequestMessage): void {
    const { type, requestId, hasPayload, payloadStart, payloadEnd } = this.envelopes;
    this.inFlight += 1;
    if (!isRequestType(type)) {
      this.frames().addBare(BatchType.TYPE_NONE, requestId);
      this.answered(0);
    } else if (isOneKeyType(type)) {
      if (!hasPayload) this.answerOneKey(type, requestId, invalidInput(), 0, undefined);
      else this.startOneKey(type, requestId, message, payloadStart, payloadEnd, source);
    } else if (type === BatchType.TRY_SET_MANY_KEY_VALUE || type === BatchType.TRY_DELETE_MANY_KEY_VALUE) {
      this.startMany(type, requestId, hasPayload ? message.subarray(payloadStart, payloadEnd) : EMPTY, source);
    } else {
      this.answerEncoded(type, requestId, typeOnly(type, this.unavailableOutcome(hasPayload)));
    }
  }

  /** Scans, scripts and sessions are declared but not offered yet: asking again does not help. */
  private unavailableOutcome(hasPayload: boolean): ResponseType {
    if (!hasPayload) return ResponseType.InvalidInput;
    return this.isExcess ? ResponseType.MustRetry : ResponseType.Errored;
  }

  /** Beyond what a frame may hold: not started (grpc §8.3). */
  private get isExcess(): boolean {
    return this.envelopes.isFrame && this.envelopes.count > MAX_FRAME_ITEMS;
  }

  private startOneKey(
    type: OneKeyType,
    requestId: number,
    message: Buffer,
    start: number,
    end: number,
    source: RequestMessage,
  ): void {
    const { decoder } = this;
    let operation: ReturnType<OperationDecoder['decode']>;
    try {
      operation = decoder.decode(type, message, start, end);
    } catch (error) {
      this.refuseUndecodable(error, 'decoding a request');
      this.answerOneKey(type, requestId, invalidInput(), 0, undefined);
      return;
    }
    const { identity, exactRevision } = decoder.extras;
    if (!isPlainOperation(operation, identity)) {
      this.answerOneKey(type, requestId, refusalOf(operation, identity), 0, undefined);
      return;
    }
    if (this.isExcess) {
      this.answerOneKey(type, requestId, refusal(ResponseType.MustRetry), 0, undefined);
      return;
    }
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

  private startMany(type: number, requestId: number, payload: Uint8Array, source: RequestMessage): void {
    const { node, hints } = this.context;
    const kind = type === BatchType.TRY_SET_MANY_KEY_VALUE ? 'set' : 'delete';
    let request: ManyRequest;
    try {
      request = decodeMany(kind, payload, 0, payload.length);
    } catch (error) {
      // There is no list of items that could be answered one by one.
      this.refuseUndecodable(error, 'decoding a multi-key request');
      this.answerEncoded(type, requestId, EMPTY);
      return;
    }
    if (this.isExcess) {
      this.answerEncoded(type, requestId, encodeManyRefusal(kind, request, ResponseType.MustRetry, hints));
      return;
    }
    const startedMs = this.receivedMs;
    source.unanswered += 1;
    runMany(node, kind, request, payload, startedMs + REQUEST_DEADLINE_MS, results => {
      this.release(source);
      const payloadOut = encodeMany(kind, request, results, this.elapsedMs(startedMs), hints);
      const fits = payloadOut.length < MAX_BATCH_MESSAGE_BYTES;
      this.answerEncoded(type, requestId, fits ? payloadOut : encodeManyRefusal(kind, request, ResponseType.Errored, hints));
    });
  }

  private refuseUndecodable(error: unknown, what: string): void {
    if (!(error instanceof DecodeError) && !(error instanceof TooManyItemsError)) this.context.settings.onFault(what, error);
  }

  // ---- answers -------------------------------------------------------------------------------------------------------------

  complete(token: number, result: OperationResult): void {
    const type = this.types[token] as OneKeyType;
    const requestId = this.requestIds[token] as number;
    const startedMs = this.startedMs[token] as number;
    this.release(this.messages[token] as RequestMessage);
    const exactRevision = this.exactRevisions.size === 0 ? undefined : this.takeExactRevision(token);
    this.freeTokens.push(token);
    this.answerOneKey(type, requestId, result, this.elapsedMs(startedMs), exactRevision);
  }

  private takeExactRevision(token: number): bigint | undefined {
    const revision = this.exactRevisions.get(token);
    this.exactRevisions.delete(token);
    return revision;
  }

  private elapsedMs(startedMs: number): number {
    if (this.turnMs === 0) {
      this.turnMs = this.context.settings.clock.monotonicMs();
      this.scheduleFlush();
    }
    return Math.max(0, Math.floor(this.turnMs - startedMs));
  }

  private answerOneKey(
    type: OneKeyType,
    requestId: number,
    result: OperationResult,
    elapsedMs: number,
    exactRevision: bigint | undefined,
  ): void {
    if (this.ended) return;
    if (result.value !== null && this.unsentBytes > MAX_UNSENT_BYTES) {
      this.deferred.push({ type, requestId, result, elapsedMs, exactRevision });
      return;
    }
    const frames = this.frames();
    const hint = this.context.hints.hint(result.route);
    if (!addOperationResponse(frames, type, requestId, result, elapsedMs, hint, exactRevision)) {
      addOperationResponse(frames, type, requestId, refusal(ResponseType.Errored), elapsedMs, undefined, undefined);
    }
    this.answered(result.value === null ? 0 : result.value.length);
  }

  /** The client has read on: what waited for room is encoded as far as there is some. */
  private encodeDeferred(): void {
    if (this.deferred.length === 0) return;
    let next = 0;
    for (; next < this.deferred.length && this.unsentBytes <= MAX_UNSENT_BYTES; next++) {
      const { type, requestId, result, elapsedMs, exactRevision } = this.deferred[next] as DeferredAnswer;
      this.answerOneKey(type, requestId, result, elapsedMs, exactRevision);
    }
    this.deferred.splice(0, next);
  }

  private answerEncoded(type: number, requestId: number, payload: Uint8Array): void {
    if (this.ended) return;
    if (!addEncodedResponse(this.frames(), type, requestId, payload)) addEncodedResponse(this.frames(), type, requestId, EMPTY);
    this.answered(payload.length);
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
    this.flush();
    this.balance();
    this.endIfDone();
  }

  // ---- flow and end --------------------------------------------------------------------------------------------------------

  private release(source: RequestMessage): void {
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
    this.onEnd(this);
  }
}

interface DeferredAnswer {
  readonly type: OneKeyType;
  readonly requestId: number;
  readonly result: OperationResult;
  readonly elapsedMs: number;
  readonly exactRevision: bigint | undefined;
}

/** One message of the stream, for as long as some request in it is not answered. */
interface RequestMessage {
  readonly bytes: number;
  unanswered: number;
}

/** A refusal that is nothing but its type, encoded. All these responses have `Type` as field 2, but for the scan's. */
function typeOnly(type: number, outcome: ResponseType): Uint8Array {
  const field = type === BatchType.TRY_SCAN_BY_PREFIX ? 1 : 2;
  return Uint8Array.of(field << 3, outcome);
}
