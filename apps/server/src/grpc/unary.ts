import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { DecodeError } from '@kahuna/base';
import type { KahunaNode, ResultSink } from '@kahuna/node';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import { ProtoReader, ReverseWriter, TooManyItemsError } from '@kahuna/wire';
import { invalidInput, refusal } from '../gateway/validate.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import type { RouteHints } from './route-hints.ts';

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type UnaryAnswer = sendUnaryData<Buffer>;
export type UnaryHandler = (call: UnaryCall, answer: UnaryAnswer) => void;

type SubmittedOperation = Parameters<KahunaNode['submit']>[0];

/** What the official clients accept at most in one unary answer (grpc §1.2). Bytes. */
export const MAX_UNARY_RESPONSE_BYTES = 64 * 1024 * 1024;

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What the unary methods of all services share. */
export class UnaryCalls {
  /** The server is stopping: what still arrives is answered MustRetry (grpc §1.3). */
  stopping = false;
  readonly node: KahunaNode;
  readonly hints: RouteHints;
  readonly settings: GrpcSettings;
  private readonly reader = new ProtoReader();
  private readonly writer = new ReverseWriter();

  constructor(node: KahunaNode, hints: RouteHints, settings: GrpcSettings) {
    this.node = node;
    this.hints = hints;
    this.settings = settings;
  }

  /**
   * A method that is one operation: `decode` reads the request, `admit` turns it into the operation (undefined: invalid input),
   * `write` encodes the answer.
   */
  operation<R>(
    decode: (reader: ProtoReader) => R,
    admit: (request: R) => SubmittedOperation | undefined,
    write: (writer: ReverseWriter, result: OperationResult, elapsedMs: number) => void,
  ): UnaryHandler {
    return (call, answer) => {
      const startedMs = this.settings.clock.monotonicMs();
      const request = this.decoded(call.request, decode, answer);
      if (request === undefined) return;
      const respond = (result: OperationResult, elapsedMs: number): void =>
        answer(
          null,
          this.encoded(writer => write(writer, result, elapsedMs)),
        );
      const operation = admit(request.value);
      if (operation === undefined) respond(invalidInput(), 0);
      else if (this.stopping) respond(refusal(ResponseType.MustRetry), 0);
      else {
        const complete = (_token: number, result: OperationResult): void => respond(result, this.elapsedMs(startedMs));
        this.submit(operation, { complete }, this.deadlineOf(call));
      }
    };
  }

  submit(operation: SubmittedOperation, sink: ResultSink, deadlineMs: number): void {
    try {
      this.node.submit(operation, sink, 0, deadlineMs);
    } catch (error) {
      this.settings.onFault('submitting an operation', error);
      sink.complete(0, refusal(ResponseType.MustRetry));
    }
  }

  /** Reads a request; where it does not decode, answers so and returns undefined. */
  decoded<R>(
    bytes: Uint8Array,
    decode: (reader: ProtoReader) => R,
    answer: (error: { readonly code: status; readonly details: string }) => void,
  ): { readonly value: R } | undefined {
    this.reader.reset(bytes, 0, bytes.length);
    try {
      return { value: decode(this.reader) };
    } catch (error) {
      answer(this.undecodable(error));
      return undefined;
    }
  }

  undecodable(error: unknown): { readonly code: status; readonly details: string } {
    if (error instanceof DecodeError)
      return { code: status.INVALID_ARGUMENT, details: `request does not decode: ${error.message}` };
    if (error instanceof TooManyItemsError) return { code: status.RESOURCE_EXHAUSTED, details: 'too many items in one request' };
    this.settings.onFault('decoding a request', error);
    return { code: status.INTERNAL, details: 'internal fault' };
  }

  /** A copy: the transport may still hold the bytes when the next answer is written. */
  encoded(write: (writer: ReverseWriter) => void): Buffer {
    this.writer.clear();
    const start = this.writer.mark;
    write(this.writer);
    return Buffer.from(this.writer.since(start));
  }

  elapsedMs(startedMs: number): number {
    return Math.max(0, Math.floor(this.settings.clock.monotonicMs() - startedMs));
  }

  /** The client's deadline on the monotonic clock, 0 if it set none. */
  deadlineOf(call: Pick<UnaryCall, 'getDeadline'>): number {
    const deadline = call.getDeadline();
    const atMs = typeof deadline === 'number' ? deadline : deadline.getTime();
    if (!Number.isFinite(atMs)) return 0;
    return this.settings.clock.monotonicMs() + (atMs - this.settings.clock.wallMs());
  }
}
