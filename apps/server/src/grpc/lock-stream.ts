import { Metadata } from '@grpc/grpc-js';
import type { OperationResult } from '@kahuna/partition';
import { decodeLock, type EnvelopeFrames, type LockKind, lockKindOf, ProtoReader, writeLockResponse } from '@kahuna/wire';
import { invalidInput, isValidLock } from '../gateway/validate.ts';
import { type BatchCall, type BatchContext, BatchStream, type RequestMessage } from './batch-stream.ts';

/** Bytes of an answer beyond its owner and its hint, at most. */
const RESPONSE_FIELDS_BYTES = 64;

/** One `Locker.BatchClientLockRequests` stream (grpc §8.6): no frames, no header. */
export class LockStream extends BatchStream {
  private readonly reader = new ProtoReader();

  constructor(call: BatchCall, context: BatchContext, onEnd: (stream: BatchStream) => void) {
    super(call, context, new Metadata(), onEnd);
  }

  protected override start(message: Buffer, source: RequestMessage): void {
    const { type, requestId, hasPayload, payloadStart, payloadEnd } = this.envelopes;
    const kind = lockKindOf(type);
    if (kind === undefined) {
      this.answerBare(requestId);
      return;
    }
    this.reader.reset(message, payloadStart, payloadEnd);
    const operation = hasPayload ? this.decode(kind) : undefined;
    if (operation === undefined || !isValidLock(operation)) this.answer(type, requestId, invalidInput(), 0, undefined);
    else this.submit(operation, type, requestId, source, undefined);
  }

  /** undefined: what came is no such request. */
  private decode(kind: LockKind): ReturnType<typeof decodeLock> | undefined {
    try {
      return decodeLock(this.reader, kind);
    } catch (error) {
      this.refuseUndecodable(error, 'decoding a lock request');
      return undefined;
    }
  }

  protected override encode(frames: EnvelopeFrames, type: number, requestId: number, result: OperationResult): boolean {
    const hint = this.context.hints.hint(result.route, this.now());
    const writer = frames.begin((result.value?.length ?? 0) + (hint?.length ?? 0) + RESPONSE_FIELDS_BYTES);
    const start = writer.mark;
    writeLockResponse(writer, lockKindOf(type) as LockKind, result, hint);
    return frames.end(start, type, requestId);
  }
}
