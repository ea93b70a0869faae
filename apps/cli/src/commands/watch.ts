import type { Change, LockChange, SequenceChange, Watch } from '@kahuna/client';
import { toJson } from '../output/json.ts';
import { type Rendering, shown, shownValue, textOf } from '../output/render.ts';
import type { Call, Prepare, Run } from './command.ts';
import { documentOf, stateLine } from './sequences.ts';

/** Watches tell what is there, then what happens, until the user gives up; they are the same with flags and in the shell. */

export function followKey(key: string): Run {
  return follow(({ client, signal }) => client.watch.key(key, { signal, initial: true }), KEYS);
}

export function followBucket(bucket: string): Run {
  return follow(({ client, signal }) => client.watch.bucket(bucket, { signal, initial: true }), KEYS);
}

export function followPrefix(prefix: string): Run {
  return follow(({ client, signal }) => client.watch.prefix(prefix, { signal, initial: true }), KEYS);
}

export function followLock(resource: string, durability: 'persistent' | 'ephemeral'): Run {
  return follow(({ client, signal }) => client.watch.lock(resource, { signal, durability }), LOCKS);
}

export function followSequence(name: string): Run {
  return follow(({ client, signal }) => client.watch.sequence(name, { signal }), SEQUENCES);
}

export const watchKey: Prepare = ({ watch: key = '' }) => followKey(key);
export const watchBucket: Prepare = ({ 'watch-bucket': bucket = '' }) => followBucket(bucket);
export const watchPrefix: Prepare = ({ 'watch-prefix': prefix = '' }) => followPrefix(prefix);
export const watchLock: Prepare = ({ 'watch-lock': resource = '' }) => followLock(resource, 'persistent');
export const watchSequence: Prepare = ({ 'watch-sequence': name = '' }) => followSequence(name);

/** How changes of one kind of thing are printed. */
interface Format<C> {
  readonly line: (change: C, rendering: Rendering) => string;
  readonly json: (change: C) => string;
}

const KEYS: Format<Change> = { line: changeLine, json: changeJson };
const LOCKS: Format<LockChange> = { line: lockLine, json: lockJson };
const SEQUENCES: Format<SequenceChange> = { line: sequenceLine, json: sequenceJson };

function follow<C>(watch: (call: Call) => Watch<C>, format: Format<C>): Run {
  return async call => {
    const { output, json } = call;
    for await (const change of watch(call)) {
      await output.line(json ? format.json(change) : format.line(change, output.rendering));
    }
    return true;
  };
}

function changeLine({ kind, initial, key, revision, value }: Change, rendering: Rendering): string {
  const word = initial ? 'is' : kind;
  const name = kind === 'set' || kind === 'extend' ? rendering.style.state(word) : rendering.style.miss(word);
  const text = kind === 'set' ? ` ${shownValue(value, rendering)}` : '';
  return `r${revision} ${name} ${shown(key, rendering)}${text}`;
}

function changeJson({ kind, initial, key, revision, value, stamp, expires }: Change): string {
  return toJson({
    kind,
    initial,
    Key: key,
    revision,
    value: value === null ? null : textOf(value),
    atMs: stamp.l,
    expiresMs: expires === undefined ? null : expires.l,
  });
}

/** `f3 is held <owner>`, `f3 acquired <owner>`, `f3 expired <owner>`, `f3 is free`. */
function lockLine({ kind, held, owner, fencingToken }: LockChange, rendering: Rendering): string {
  const { style } = rendering;
  const snapshot = held ? 'is held' : 'is free';
  const word = kind === 'snapshot' ? snapshot : kind === 'released' ? 'unlocked' : kind;
  const who = owner === undefined ? '' : ` ${shown(textOf(owner), rendering)}`;
  return `f${fencingToken} ${held ? style.state(word) : style.miss(word)}${who}`;
}

function lockJson({ kind, name, held, owner, fencingToken, stamp, expires }: LockChange): string {
  return toJson({
    kind,
    resource: name,
    held,
    owner: owner === undefined ? null : textOf(owner),
    fencingToken,
    atMs: stamp.l,
    expiresMs: expires === undefined ? null : expires.l,
  });
}

function sequenceLine({ kind, sequence }: SequenceChange, rendering: Rendering): string {
  if (sequence !== undefined) return stateLine(kind === 'snapshot' ? 'is' : kind, sequence, rendering);
  return rendering.style.miss(kind === 'snapshot' ? 'not found' : kind);
}

function sequenceJson({ kind, name, sequence, stamp }: SequenceChange): string {
  return `{"kind":${JSON.stringify(kind)},"name":${JSON.stringify(name)},"sequence":${documentOf(sequence)},"atMs":${stamp.l}}`;
}
