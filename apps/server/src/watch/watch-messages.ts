import { type Hlc, isZeroHlc } from '@kahuna/base';
import type { KeyEvent, LockEvent, SequenceEvent, WatchEvent } from '@kahuna/node';
import type { SequenceEntry } from '@kahuna/partition';
import { watchMessages as messages } from '@kahuna/wire';
import { Fields } from '../rest/fields.ts';
import { parseObject } from '../rest/json-input.ts';
import { bytesJson, hlcJson } from '../rest/json-output.ts';
import { BadRequest } from '../rest/problem.ts';
import {
  boolean,
  durability,
  int32,
  nested,
  optionalHlc,
  optionalInt64,
  optionalText,
  type Read,
  readShape,
} from '../rest/shape.ts';

/** Messages of the WebSocket `/v1/watch` (docs/watch.md), between JSON text and what all transports share. */

const PERSISTENT = 1;

const RANGE = {
  bucket: optionalText('The key space'),
  start: optionalText('First key; absent: from the first of the bucket'),
  startInclusive: boolean('Whether the first key belongs to it', true),
  end: optionalText('Where it ends; absent: with the last of the bucket'),
  endInclusive: boolean('Whether the end belongs to it'),
} as const;

/** What a `watch` message holds beside `t` and `id`. */
export const WATCH_SHAPE = {
  key: optionalText('One key'),
  bucket: optionalText('The keys `bucket/…`'),
  prefix: optionalText('All keys that begin so'),
  range: nested(RANGE, 'Keys of one bucket between two keys'),
  lock: optionalText('The resource of a lock'),
  sequence: optionalText('The name of a sequence'),
  initial: boolean('What is there first, as sets marked `initial`'),
  after: optionalHlc('Begin behind this time'),
  fromRevision: optionalInt64('A single key: this revision and all later ones'),
  position: optionalText('Begin behind `position` of an earlier watch of the same'),
  progressMs: int32(0, 'Send the position about so often although nothing happens; 0: only at the beginning'),
  durability: durability(PERSISTENT),
} as const;

export type ClientMessage =
  | { readonly kind: 'watch'; readonly id: number; readonly request: messages.GrpcWatchRequest }
  | { readonly kind: 'unwatch' | 'pause' | 'resume'; readonly id: number };

/** What came is no JSON object: there is no telling what the other side speaks. */
export class NotAMessage extends Error {
  override name = 'NotAMessage';
}

/** One watch is wrong, not the conversation: that watch ends with the reason. */
export class BadWatch extends Error {
  override name = 'BadWatch';
  readonly id: number;

  constructor(id: number, reason: string) {
    super(reason);
    this.id = id;
  }
}

/** Throws {@link NotAMessage}, {@link BadRequest} for a message that says nothing, {@link BadWatch} where one watch alone is affected. */
export function readMessage(data: Buffer): ClientMessage {
  const fields = fieldsOf(data);
  const kind = fields.text('t');
  if (kind !== 'watch' && kind !== 'unwatch' && kind !== 'pause' && kind !== 'resume') {
    throw new BadRequest('t must be "watch", "unwatch", "pause" or "resume".');
  }
  const id = fields.optionalInt32('id');
  if (id === undefined || id < 0) throw new BadRequest('id must be a whole number of at most 31 bits.');
  if (kind !== 'watch') return { kind, id };
  try {
    return { kind, id, request: requestOf(readShape(WATCH_SHAPE, fields)) };
  } catch (error) {
    if (error instanceof BadRequest) throw new BadWatch(id, error.message);
    throw error;
  }
}

function fieldsOf(data: Buffer): Fields {
  try {
    return new Fields(parseObject(data, 'The message'));
  } catch (error) {
    if (error instanceof BadRequest) throw new NotAMessage(error.message);
    throw error;
  }
}

function requestOf(body: Read<typeof WATCH_SHAPE>): messages.GrpcWatchRequest {
  return {
    Target: targetOf(body),
    Start: startOf(body),
    ProgressMs: body.progressMs,
    Durability:
      body.durability === PERSISTENT
        ? messages.GrpcWatchDurability.WATCH_PERSISTENT
        : messages.GrpcWatchDurability.WATCH_EPHEMERAL,
  };
}

function targetOf({ key, bucket, prefix, range, lock, sequence }: Read<typeof WATCH_SHAPE>): messages.GrpcWatchRequest['Target'] {
  const targets: NonNullable<messages.GrpcWatchRequest['Target']>[] = [];
  if (key !== undefined) targets.push({ $case: 'Key', Key: key });
  if (bucket !== undefined) targets.push({ $case: 'Bucket', Bucket: bucket });
  if (prefix !== undefined) targets.push({ $case: 'Prefix', Prefix: prefix });
  if (range !== undefined) {
    const { start: StartKey, startInclusive: StartInclusive, end: EndKey, endInclusive: EndInclusive } = range;
    targets.push({
      $case: 'Range',
      Range: { Bucket: range.bucket ?? '', StartKey, StartInclusive, EndKey, EndInclusive },
    });
  }
  if (lock !== undefined) targets.push({ $case: 'Lock', Lock: lock });
  if (sequence !== undefined) targets.push({ $case: 'Sequence', Sequence: sequence });
  if (targets.length !== 1) throw new BadRequest('A watch names one of key, bucket, prefix, range, lock and sequence.');
  return targets[0];
}

function startOf({ initial, after, fromRevision, position }: Read<typeof WATCH_SHAPE>): messages.GrpcWatchRequest['Start'] {
  const starts: NonNullable<messages.GrpcWatchRequest['Start']>[] = [];
  if (initial) starts.push({ $case: 'Initial', Initial: true });
  if (after !== undefined) {
    starts.push({ $case: 'After', After: { Node: after.n, Physical: BigInt(after.l), Counter: after.c } });
  }
  if (fromRevision !== undefined) starts.push({ $case: 'FromRevision', FromRevision: fromRevision });
  if (position !== undefined) starts.push({ $case: 'Position', Position: position });
  if (starts.length > 1) throw new BadRequest('A watch begins with one of initial, after, fromRevision and position.');
  return starts[0];
}

// ---- what the server sends ---------------------------------------------------------------------------------------------------

export function eventsMessage(id: number, events: readonly WatchEvent[], position: string | undefined): string {
  const tail = position === undefined ? '' : `,"position":"${position}"`;
  return `{"t":"events","id":${id},"events":[${events.map(eventJson).join(',')}]${tail}}`;
}

function eventJson(event: WatchEvent): string {
  event.json ??= writeEvent(event);
  return event.json;
}

function writeEvent(event: WatchEvent): string {
  switch (event.kind) {
    case 'key':
      return keyJson(event);
    case 'lock':
      return lockJson(event);
    case 'sequence':
      return sequenceJson(event);
  }
}

/** 64-bit integers stand in strings: browsers' parsers would round them. */
function keyJson({ change, partitionId, initial }: KeyEvent): string {
  const { kind, key, value, revision, expires, place, valueKept } = change;
  const version = `"value":${bytesJson(value)},"revision":"${revision}","expires":${hlcOrNull(expires)}`;
  const origin = `"stamp":${hlcJson(place.stamp)},"partition":${partitionId},"initial":${initial},"valueGone":${!valueKept}`;
  return `{"kind":"${kind}","key":${JSON.stringify(key)},${version},${origin}}`;
}

function lockJson({ change, partitionId }: LockEvent): string {
  const { kind, name, held, owner, token, expires, stamp } = change;
  const lease = `"held":${held},"owner":${bytesJson(owner ?? null)},"fencingToken":"${token}","expires":${hlcOrNull(expires)}`;
  return `{"kind":"${kind}","resource":${JSON.stringify(name)},${lease},"stamp":${hlcJson(stamp)},"partition":${partitionId}}`;
}

function sequenceJson({ change, partitionId }: SequenceEvent): string {
  const { kind, name, entry, stamp } = change;
  const sequence = entry === undefined ? 'null' : entryJson(entry);
  return `{"kind":"${kind}","name":${JSON.stringify(name)},"sequence":${sequence},"stamp":${hlcJson(stamp)},"partition":${partitionId}}`;
}

function entryJson(entry: SequenceEntry): string {
  const { currentValue, initialValue, increment, maxValue, blockSize, incarnation, revision } = entry;
  const values = `"currentValue":"${currentValue}","initialValue":"${initialValue}","increment":"${increment}","maxValue":${maxValue === undefined ? null : `"${maxValue}"`}`;
  const state = `"blockSize":${blockSize ?? null},"incarnation":"${incarnation}","revision":"${revision}"`;
  return `{${values},${state},"createdAt":${hlcJson(entry.createdAt)},"updatedAt":${hlcJson(entry.updatedAt)}}`;
}

function hlcOrNull(stamp: Hlc): string {
  return isZeroHlc(stamp) ? 'null' : hlcJson(stamp);
}

/** Why a watch is over. */
export type EndCode = 'INVALID_ARGUMENT' | 'UNAVAILABLE' | 'HISTORY_PRUNED' | 'RESOURCE_EXHAUSTED' | 'NOT_LEADER';

/** `leader`: URL of the node that serves such a watch, as far as it is known; of NOT_LEADER only. */
export function endMessage(id: number, code: EndCode, message: string, leader?: string): string {
  return JSON.stringify({ t: 'end', id, code, message, leader });
}

export function errorMessage(message: string): string {
  return JSON.stringify({ t: 'error', message });
}
