import { DecodeError } from '@kahuna/base';
import type { WatchQuery, WatchStart, WatchSubject } from '@kahuna/node';
import { Durability } from '@kahuna/partition';
import { keySpaceOfPrefix } from '@kahuna/range-router';
import { decodePosition, watchMessages as messages, type WatchTarget } from '@kahuna/wire';

/** Beyond every clock that will ever run, and still a stamp that positions can hold. Milliseconds since 1970. */
const MAX_TIME_MS = 2 ** 48 - 1;

/** Of a position whose cluster this is not: what happened since cannot be known here. */
export const ANOTHER_CLUSTER =
  'this position is of another cluster, or of this one before it was lost and founded anew: begin anew with the present state';

/** What a request of any transport asks of the node. Throws {@link DecodeError} for what is no watch. */
export function watchedBy(request: messages.GrpcWatchRequest): { readonly query: WatchQuery; readonly target: WatchTarget } {
  const target = targetOf(request);
  return { query: { shape: shapeOf(target, request.Durability), start: startOf(request, target) }, target };
}

function targetOf({ Target, Durability: durability }: messages.GrpcWatchRequest): WatchTarget {
  if (Target === undefined) throw new DecodeError('a watch names a key, a bucket, a prefix, a range, a lock or a sequence');
  if (durability !== messages.GrpcWatchDurability.WATCH_PERSISTENT && Target.$case !== 'Lock') {
    throw new DecodeError('of ephemeral things only locks can be watched: keys leave no history to resume from');
  }
  return Target;
}

function shapeOf(target: WatchTarget, durability: messages.GrpcWatchDurability): WatchSubject {
  switch (target.$case) {
    case 'Key':
      return { kind: 'key', key: target.Key };
    case 'Bucket':
      return { kind: 'space', keySpace: keySpaceOfPrefix(target.Bucket), lower: undefined, upper: undefined };
    case 'Prefix':
      return { kind: 'prefix', prefix: target.Prefix };
    case 'Range': {
      const { Bucket, StartKey, StartInclusive, EndKey, EndInclusive } = target.Range;
      return {
        kind: 'space',
        keySpace: keySpaceOfPrefix(Bucket),
        lower: StartKey === undefined ? undefined : { key: StartKey, inclusive: StartInclusive },
        upper: EndKey === undefined ? undefined : { key: EndKey, inclusive: EndInclusive },
      };
    }
    case 'Lock': {
      const isEphemeral = durability === messages.GrpcWatchDurability.WATCH_EPHEMERAL;
      return { kind: 'lock', name: target.Lock, durability: isEphemeral ? Durability.Ephemeral : Durability.Persistent };
    }
    case 'Sequence':
      return { kind: 'sequence', name: target.Sequence };
  }
}

function startOf({ Start }: messages.GrpcWatchRequest, target: WatchTarget): WatchStart {
  switch (Start?.$case) {
    case 'Initial':
      return Start.Initial ? { kind: 'initial' } : { kind: 'now' };
    case 'After': {
      const { Node, Physical, Counter } = Start.After;
      return { kind: 'time', stamp: { n: Node, l: safe(Physical, MAX_TIME_MS), c: Counter } };
    }
    case 'FromRevision':
      return { kind: 'revision', revision: safe(Start.FromRevision) };
    case 'Position':
      return { kind: 'places', ...decodePosition(target, Start.Position) };
    default:
      return { kind: 'now' };
  }
}

function safe(value: bigint, max = Number.MAX_SAFE_INTEGER): number {
  const number = Number(value);
  if (!(number >= 0 && number <= max)) throw new DecodeError('a number out of its range');
  return number;
}
