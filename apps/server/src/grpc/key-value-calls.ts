import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { DecodeError } from '@kahuna/base';
import type { KahunaNode, ResultSink } from '@kahuna/node';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import {
  batchTypeOf,
  type ManyKind,
  type OneKeyType,
  OperationDecoder,
  type RequestedOperation,
  ReverseWriter,
  TooManyItemsError,
  writeOperationResponse,
} from '@kahuna/wire';
import { refusal } from '../gateway/validate.ts';
import { isPlainOperation, refusalOf } from './admission.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { decodeMany, encodeMany, encodeManyRefusal, runMany } from './many-keys.ts';
import type { RouteHints } from './route-hints.ts';

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type UnaryAnswer = sendUnaryData<Buffer>;
export type UnaryHandler = (call: UnaryCall, answer: UnaryAnswer) => void;

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The unary methods of `KeyValuer` that plain operations need (grpc §7.1, §7.2). */
export class KeyValueCalls {
  /** The server is stopping: what still arrives is answered MustRetry (grpc §1.3). */
  stopping = false;
  private readonly node: KahunaNode;
  private readonly hints: RouteHints;
  private readonly settings: GrpcSettings;
  private readonly decoder = new OperationDecoder();
  private readonly writer = new ReverseWriter();

  constructor(node: KahunaNode, hints: RouteHints, settings: GrpcSettings) {
    this.node = node;
    this.hints = hints;
    this.settings = settings;
  }

  oneKey(kind: RequestedOperation['kind']): UnaryHandler {
    const type = batchTypeOf(kind);
    return (call, answer) => {
      const startedMs = this.settings.clock.monotonicMs();
      let operation: RequestedOperation;
      try {
        operation = this.decoder.decode(type, call.request, 0, call.request.length);
      } catch (error) {
        this.refuseUndecodable(error, answer);
        return;
      }
      const { identity, exactRevision } = this.decoder.extras;
      if (!isPlainOperation(operation, identity)) {
        answer(null, this.encode(type, refusalOf(operation, identity), 0, undefined));
        return;
      }
      if (this.stopping) {
        answer(null, this.encode(type, refusal(ResponseType.MustRetry), 0, undefined));
        return;
      }
      const complete = (_token: number, result: OperationResult): void => {
        answer(null, this.encode(type, result, this.elapsedMs(startedMs), exactRevision));
      };
      this.submit(operation, { complete }, this.deadlineOf(call));
    };
  }

  private submit(operation: Parameters<KahunaNode['submit']>[0], sink: ResultSink, deadlineMs: number): void {
    try {
      this.node.submit(operation, sink, 0, deadlineMs);
    } catch (error) {
      this.settings.onFault('submitting an operation', error);
      sink.complete(0, refusal(ResponseType.MustRetry));
    }
  }

  manyKeys(kind: ManyKind): UnaryHandler {
    return (call, answer) => {
      const startedMs = this.settings.clock.monotonicMs();
      let request: ReturnType<typeof decodeMany>;
      try {
        request = decodeMany(kind, call.request, 0, call.request.length);
      } catch (error) {
        this.refuseUndecodable(error, answer);
        return;
      }
      if (this.stopping) {
        answer(null, asBuffer(encodeManyRefusal(kind, request, ResponseType.MustRetry, this.hints)));
        return;
      }
      runMany(this.node, kind, request, call.request, this.deadlineOf(call), results => {
        const encoded = encodeMany(kind, request, results, this.elapsedMs(startedMs), this.hints);
        const fits = encoded.length <= MAX_UNARY_RESPONSE_BYTES;
        answer(null, asBuffer(fits ? encoded : encodeManyRefusal(kind, request, ResponseType.Errored, this.hints)));
      });
    };
  }

  private refuseUndecodable(error: unknown, answer: UnaryAnswer): void {
    if (error instanceof DecodeError)
      answer({ code: status.INVALID_ARGUMENT, details: `request does not decode: ${error.message}` });
    else if (error instanceof TooManyItemsError)
      answer({ code: status.RESOURCE_EXHAUSTED, details: 'too many items in one request' });
    else {
      this.settings.onFault('decoding a request', error);
      answer({ code: status.INTERNAL, details: 'internal fault' });
    }
  }

  private encode(type: OneKeyType, result: OperationResult, elapsedMs: number, exactRevision: bigint | undefined): Buffer {
    this.writer.clear();
    const start = this.writer.mark;
    writeOperationResponse(this.writer, type, result, elapsedMs, this.hints.hint(result.route), exactRevision);
    // A copy: the transport may still hold the bytes when the next answer is written.
    return Buffer.from(this.writer.since(start));
  }

  private elapsedMs(startedMs: number): number {
    return Math.max(0, Math.floor(this.settings.clock.monotonicMs() - startedMs));
  }

  /** The client's deadline on the monotonic clock, 0 if it set none. */
  private deadlineOf(call: UnaryCall): number {
    const deadline = call.getDeadline();
    const atMs = typeof deadline === 'number' ? deadline : deadline.getTime();
    if (!Number.isFinite(atMs)) return 0;
    return this.settings.clock.monotonicMs() + (atMs - this.settings.clock.wallMs());
  }
}

/** What the official clients accept at most in one unary answer (grpc §1.2). */
export const MAX_UNARY_RESPONSE_BYTES = 64 * 1024 * 1024;
