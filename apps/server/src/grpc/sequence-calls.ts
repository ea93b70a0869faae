import { decodeSequence, type SequenceMethod, sequenceKindOf, writeSequenceResponse } from '@kahuna/wire';
import { SEQUENCE_DURABILITY } from '../gateway/validate.ts';
import type { UnaryCalls, UnaryHandler } from './unary.ts';

/** The methods of `Sequencer` (grpc §7.8). */
export function sequenceCalls(calls: UnaryCalls): Record<string, UnaryHandler> {
  const method = (name: SequenceMethod): UnaryHandler => {
    const kind = sequenceKindOf(name);
    return calls.operation(
      reader => decodeSequence(reader, name),
      ({ operation, durability }) => (durability === SEQUENCE_DURABILITY ? operation : undefined),
      (writer, result, elapsedMs) => writeSequenceResponse(writer, kind, result, elapsedMs, calls.hints.hint(result.route)),
    );
  };
  return {
    CreateSequence: method('create'),
    GetSequence: method('get'),
    NextSequenceValue: method('next'),
    ReserveSequenceRange: method('reserve'),
    UpdateSequence: method('update'),
    DeleteSequence: method('delete'),
  };
}
