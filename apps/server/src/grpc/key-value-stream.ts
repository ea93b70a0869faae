import { Metadata } from '@grpc/grpc-js';
import { type OperationResult, ResponseType, type ScanAnswer } from '@kahuna/partition';
import {
  addOperationResponse,
  type EnvelopeFrames,
  isOneKeyType,
  isRequestType,
  keyValueMessages,
  MAX_BATCH_MESSAGE_BYTES,
  MAX_FRAME_ITEMS,
  type ManyRequest,
  type OneKeyType,
  OperationDecoder,
  ProtoReader,
} from '@kahuna/wire';
import { invalidInput, refusal, scanRefusal } from '../gateway/validate.ts';
import { isPlainOperation, refusalOf } from './admission.ts';
import { type BatchCall, type BatchContext, BatchStream, REQUEST_DEADLINE_MS, type RequestMessage } from './batch-stream.ts';
import { decodeMany, encodeMany, encodeManyRefusal, runMany } from './many-keys.ts';
import { decodeScan, encodeScan, runScan } from './scans.ts';

const BatchType = keyValueMessages.GrpcClientBatchType;

const EMPTY = new Uint8Array(0);

/** One `KeyValuer.BatchClientKeyValueRequests` stream, on which nearly all traffic of released clients runs. */
export class KeyValueStream extends BatchStream {
  private readonly decoder = new OperationDecoder();

  constructor(call: BatchCall, context: BatchContext, onEnd: (stream: BatchStream) => void) {
    const headers = new Metadata();
    headers.set('kahuna-batch-frames', '1');
    super(call, context, headers, onEnd);
  }

  protected override start(message: Buffer, source: RequestMessage): void {
    const { type, requestId, hasPayload, payloadStart, payloadEnd } = this.envelopes;
    if (!isRequestType(type)) {
      this.answerBare(requestId);
    } else if (isOneKeyType(type)) {
      if (!hasPayload) this.answer(type, requestId, invalidInput(), 0, undefined);
      else this.startOneKey(type, requestId, message, source);
    } else if (type === BatchType.TRY_SET_MANY_KEY_VALUE || type === BatchType.TRY_DELETE_MANY_KEY_VALUE) {
      this.startMany(type, requestId, hasPayload ? message.subarray(payloadStart, payloadEnd) : EMPTY, source);
    } else if (type === BatchType.TRY_GET_BY_BUCKET || type === BatchType.TRY_SCAN_BY_PREFIX) {
      this.startScan(type, requestId, hasPayload ? message.subarray(payloadStart, payloadEnd) : undefined, source);
    } else {
      this.answerEncoded(type, requestId, typeOnly(this.unavailableOutcome(hasPayload)));
    }
  }

  /** Scripts and sessions are declared but not offered yet: asking again does not help. */
  private unavailableOutcome(hasPayload: boolean): ResponseType {
    if (!hasPayload) return ResponseType.InvalidInput;
    return this.isExcess ? ResponseType.MustRetry : ResponseType.Errored;
  }

  /** Beyond what a frame may hold: not started (grpc §8.3). */
  private get isExcess(): boolean {
    return this.envelopes.isFrame && this.envelopes.count > MAX_FRAME_ITEMS;
  }

  private startOneKey(type: OneKeyType, requestId: number, message: Buffer, source: RequestMessage): void {
    const { payloadStart, payloadEnd } = this.envelopes;
    let operation: ReturnType<OperationDecoder['decode']>;
    try {
      operation = this.decoder.decode(type, message, payloadStart, payloadEnd);
    } catch (error) {
      this.refuseUndecodable(error, 'decoding a request');
      this.answer(type, requestId, invalidInput(), 0, undefined);
      return;
    }
    const { identity, exactRevision } = this.decoder.extras;
    if (!isPlainOperation(operation, identity)) {
      this.answer(type, requestId, refusalOf(operation, identity), 0, undefined);
    } else if (this.isExcess) {
      this.answer(type, requestId, refusal(ResponseType.MustRetry), 0, undefined);
    } else {
      this.submit(operation, type, requestId, source, exactRevision);
    }
  }

  protected override encode(
    frames: EnvelopeFrames,
    type: number,
    requestId: number,
    result: OperationResult,
    elapsedMs: number,
    exactRevision: bigint | undefined,
  ): boolean {
    const hint = this.context.hints.hint(result.route, this.now());
    return addOperationResponse(frames, type as OneKeyType, requestId, result, elapsedMs, hint, exactRevision);
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
    this.retain(source);
    runMany(node, kind, request, payload, startedMs + REQUEST_DEADLINE_MS, results => {
      this.release(source);
      const payloadOut = encodeMany(kind, request, results, this.elapsedMs(startedMs), hints);
      const fits = payloadOut.length < MAX_BATCH_MESSAGE_BYTES;
      this.answerEncoded(type, requestId, fits ? payloadOut : encodeManyRefusal(kind, request, ResponseType.Errored, hints));
    });
  }

  private startScan(type: number, requestId: number, payload: Uint8Array | undefined, source: RequestMessage): void {
    const kind = type === BatchType.TRY_GET_BY_BUCKET ? 'bucket' : 'prefix';
    const respond = (answer: ScanAnswer): void => {
      const tooLarge = encodeScan(kind, scanRefusal(ResponseType.Errored));
      const encoded = encodeScan(kind, answer);
      const fits = this.takesMore || this.mayWait(encoded.length);
      this.answerEncoded(type, requestId, fits ? encoded : encodeScan(kind, scanRefusal(ResponseType.MustRetry)), tooLarge);
    };
    if (payload === undefined) {
      respond(scanRefusal(ResponseType.InvalidInput));
      return;
    }
    const reader = new ProtoReader();
    reader.reset(payload, 0, payload.length);
    let request: ReturnType<typeof decodeScan>;
    try {
      request = decodeScan(reader, kind);
    } catch (error) {
      this.refuseUndecodable(error, 'decoding a scan');
      respond(scanRefusal(ResponseType.InvalidInput));
      return;
    }
    if (this.isExcess) {
      respond(scanRefusal(ResponseType.MustRetry));
      return;
    }
    this.retain(source);
    void runScan(this.context, request, this.receivedMs + REQUEST_DEADLINE_MS).then(answer => {
      this.release(source);
      respond(answer);
    });
  }
}

/** A refusal that is nothing but its type, encoded: field 2 of the responses of scripts, session locks and sessions. */
function typeOnly(outcome: ResponseType): Uint8Array {
  return Uint8Array.of(2 << 3, outcome);
}
