import { Metadata } from '@grpc/grpc-js';
import { type OperationResult, ResponseType } from '@kahuna/partition';
import {
  batchedLockKind,
  batchedSequenceMethod,
  decodeLock,
  decodeSequence,
  type EnvelopeFrames,
  isBatchedLock,
  isBatchedSequence,
  MAX_FRAME_ITEMS,
  ProtoReader,
  sequenceKindOf,
  writeLockResponse,
  writeSequenceResponse,
} from '@kahuna/wire';
import { invalidInput, isValidLock, refusal, SEQUENCE_DURABILITY } from '../gateway/validate.ts';
import { type BatchCall, type BatchContext, BatchStream, type RequestMessage } from './batch-stream.ts';

/** Bytes of an answer beyond owner, name and hint, at most. */
const RESPONSE_FIELDS_BYTES = 160;

type Submitted = Parameters<BatchContext['node']['submit']>[0];

/** One `Batcher.Batch` stream: what locks and sequences are asked for, in frames. Answers are those of the unary calls (grpc §7.7, §7.8). */
export class BatcherStream extends BatchStream {
  private readonly reader = new ProtoReader();

  constructor(call: BatchCall, context: BatchContext, onEnd: (stream: BatchStream) => void) {
    super(call, context, new Metadata(), onEnd);
    // Nobody speaks to this service who does not know frames: no header has to say so, and no request has to show it.
    this.allowFrames();
  }

  protected override start(message: Buffer, source: RequestMessage): void {
    const { type, requestId, hasPayload, isFrame, count } = this.envelopes;
    if (!isBatchedLock(type) && !isBatchedSequence(type)) {
      this.answerBare(requestId);
      return;
    }
    const operation = hasPayload ? this.decode(type, message) : undefined;
    if (operation === undefined) this.answer(type, requestId, invalidInput(), 0, undefined);
    else if (isFrame && count > MAX_FRAME_ITEMS) this.answer(type, requestId, refusal(ResponseType.MustRetry), 0, undefined);
    else this.submit(operation, type, requestId, source, undefined);
  }

  /** undefined: what came is no such request, or one that no node has to see. */
  private decode(type: number, message: Buffer): Submitted | undefined {
    const { reader, envelopes } = this;
    reader.reset(message, envelopes.payloadStart, envelopes.payloadEnd);
    try {
      if (isBatchedLock(type)) {
        const lock = decodeLock(reader, batchedLockKind(type));
        return isValidLock(lock) ? lock : undefined;
      }
      if (!isBatchedSequence(type)) return undefined;
      const { operation, durability } = decodeSequence(reader, batchedSequenceMethod(type));
      return durability === SEQUENCE_DURABILITY ? operation : undefined;
    } catch (error) {
      this.refuseUndecodable(error, 'decoding a request of the batcher');
      return undefined;
    }
  }

  protected override encode(
    frames: EnvelopeFrames,
    type: number,
    requestId: number,
    result: OperationResult,
    elapsedMs: number,
  ): boolean {
    const hint = this.context.hints.hint(result.route, this.now());
    const writer = frames.begin(sizeOf(result) + (hint?.length ?? 0) + RESPONSE_FIELDS_BYTES);
    const start = writer.mark;
    if (isBatchedLock(type)) writeLockResponse(writer, batchedLockKind(type), result, hint);
    else if (isBatchedSequence(type)) {
      writeSequenceResponse(writer, sequenceKindOf(batchedSequenceMethod(type)), result, elapsedMs, hint);
    }
    return frames.end(start, type, requestId);
  }
}

const MAX_UTF8_BYTES_PER_UNIT = 3;

/** Bytes of what an answer repeats: an owner, or the name of a sequence. */
function sizeOf({ value, detail }: OperationResult): number {
  return (value?.length ?? 0) + (detail?.name.length ?? 0) * MAX_UTF8_BYTES_PER_UNIT;
}
