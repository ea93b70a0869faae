import { DecodeError, type Hlc } from '@kahuna/base';
import { watchMessages as messages, type WatchTarget } from '@kahuna/wire';
import type { SequenceState } from '../sequences-api.ts';
import { NotLeaderFailure, TransportFailure, type TransportFault, type WatchRequest } from '../transport.ts';
import type { Change, LockChange, SequenceChange } from '../watch-api.ts';
import type { AnyChange, Told } from '../watch-told.ts';
import type { JsonObject } from './json.ts';

/** Messages of the WebSocket `/v1/watch` (docs/watch.md). */

const DURABILITY = { ephemeral: 0, persistent: 1 } as const;

export function watchMessage(id: number, { Target, Start, ProgressMs, Durability }: WatchRequest): string {
  const isEphemeral = Durability === messages.GrpcWatchDurability.WATCH_EPHEMERAL;
  const durability = isEphemeral ? DURABILITY.ephemeral : DURABILITY.persistent;
  return JSON.stringify({ t: 'watch', id, ...targetIn(Target), ...startIn(Start), progressMs: ProgressMs, durability });
}

export function watchControlMessage(t: 'unwatch' | 'pause' | 'resume', id: number): string {
  return JSON.stringify({ t, id });
}

function targetIn(target: WatchTarget | undefined): object {
  switch (target?.$case) {
    case 'Key':
      return { key: target.Key };
    case 'Bucket':
      return { bucket: target.Bucket };
    case 'Prefix':
      return { prefix: target.Prefix };
    case 'Range': {
      const { Bucket: bucket, StartKey: start, StartInclusive: startInclusive, EndKey: end, EndInclusive } = target.Range;
      return { range: { bucket, start, startInclusive, end, endInclusive: EndInclusive } };
    }
    case 'Lock':
      return { lock: target.Lock };
    case 'Sequence':
      return { sequence: target.Sequence };
    case undefined:
      return {};
  }
}

function startIn(start: WatchRequest['Start']): object {
  switch (start?.$case) {
    case 'Initial':
      return { initial: start.Initial };
    case 'After':
      return { after: { n: start.After.Node, l: start.After.Physical.toString(), c: start.After.Counter } };
    case 'FromRevision':
      return { fromRevision: start.FromRevision.toString() };
    case 'Position':
      return { position: start.Position };
    case undefined:
      return {};
  }
}

/** Throws {@link DecodeError} for what is none. */
export function eventsIn(message: JsonObject): Told {
  return { changes: message.list('events').map(changeIn), position: message.optionalText('position') };
}

function changeIn(event: JsonObject): AnyChange {
  if (event.has('key')) return keyChange(event);
  return event.has('resource') ? lockChange(event) : sequenceChange(event);
}

const KEY_KINDS = ['set', 'delete', 'extend', 'expire'] as const;
const LOCK_KINDS = ['snapshot', 'acquired', 'extended', 'released', 'expired'] as const;
const SEQUENCE_KINDS = ['snapshot', 'created', 'updated', 'reserved', 'deleted'] as const;

function keyChange(event: JsonObject): Change {
  return {
    kind: kindIn(KEY_KINDS, event),
    key: event.text('key'),
    value: event.bytes('value') ?? null,
    revision: event.number('revision'),
    expires: optionalHlc(event, 'expires'),
    stamp: event.hlc('stamp'),
    partition: event.number('partition'),
    initial: event.bool('initial'),
    valueGone: event.bool('valueGone'),
  };
}

function lockChange(event: JsonObject): LockChange {
  return {
    kind: kindIn(LOCK_KINDS, event),
    name: event.text('resource'),
    held: event.bool('held'),
    owner: event.bytes('owner'),
    fencingToken: event.big('fencingToken'),
    expires: optionalHlc(event, 'expires'),
    stamp: event.hlc('stamp'),
    partition: event.number('partition'),
  };
}

function sequenceChange(event: JsonObject): SequenceChange {
  const name = event.text('name');
  const entry = event.object('sequence');
  return {
    kind: kindIn(SEQUENCE_KINDS, event),
    name,
    sequence: entry && stateIn(name, entry),
    stamp: event.hlc('stamp'),
    partition: event.number('partition'),
  };
}

function stateIn(name: string, entry: JsonObject): SequenceState {
  return {
    name,
    currentValue: entry.big('currentValue'),
    initialValue: entry.big('initialValue'),
    increment: entry.big('increment'),
    maxValue: entry.optionalBig('maxValue'),
    blockSize: entry.optionalNumber('blockSize'),
    revision: entry.big('revision'),
    incarnation: entry.big('incarnation'),
    createdAt: entry.hlc('createdAt'),
    updatedAt: entry.hlc('updatedAt'),
  };
}

function optionalHlc(event: JsonObject, name: string): Hlc | undefined {
  return event.has(name) ? event.hlc(name) : undefined;
}

function kindIn<K extends string>(kinds: readonly K[], event: JsonObject): K {
  const kind = event.text('kind');
  const known = kinds.find(name => name === kind);
  if (known === undefined) throw new DecodeError(`a change of kind ${kind}`);
  return known;
}

const FAULTS: Readonly<Record<string, TransportFault>> = {
  INVALID_ARGUMENT: 'request',
  RESOURCE_EXHAUSTED: 'request',
  HISTORY_PRUNED: 'pruned',
};

/** Why a watch is over. */
export function failureIn(message: JsonObject): TransportFailure {
  const code = message.text('code');
  const text = message.text('message');
  if (code === 'NOT_LEADER') return new NotLeaderFailure(text, message.text('leader'));
  const fault = FAULTS[code] ?? 'endpoint';
  return new TransportFailure(text, fault === 'endpoint', fault);
}
