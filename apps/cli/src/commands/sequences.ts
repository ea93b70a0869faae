import type { Allocation, SequenceState } from '@kahuna/client';
import { UsageError } from '../failures.ts';
import { type Json, toJson } from '../output/json.ts';
import { type Rendering, shown } from '../output/render.ts';
import type { Call, Prepare, Run } from './command.ts';

/** The commands on sequences are the same with flags and in the shell; each prints its result. */

export interface SequenceCreation {
  readonly name: string;
  readonly initialValue: bigint;
  readonly increment: bigint;
  readonly maxValue: bigint | undefined;
}

export function creation(wanted: SequenceCreation): Run {
  return async ({ client, signal, output, json }) => {
    const { name, initialValue, increment, maxValue } = wanted;
    const sequence = client.sequence(name);
    const revision = await sequence.create({ initialValue, increment, maxValue, signal });
    if (json) await output.line(documentOf(await sequence.get({ signal })));
    else await output.line(stateLine('created', { ...wanted, currentValue: initialValue, revision }, output.rendering));
    return true;
  };
}

export function show(name: string): Run {
  return async ({ client, signal, output, json }) => {
    const state = await client.sequence(name).get({ signal });
    if (json) await output.line(documentOf(state));
    else await output.line(state ? stateLine('get', state, output.rendering) : output.rendering.style.miss('not found'));
    return true;
  };
}

export function next(name: string, idempotencyKey: string | undefined): Run {
  return async call => {
    const run = await allocate(call, name, 1, idempotencyKey);
    const { output, json } = call;
    await output.line(json ? allocationJson(name, run) : `${head('next', name, run, output.rendering)} ${run.start}`);
    return true;
  };
}

export function reserve(name: string, count: number, idempotencyKey: string | undefined): Run {
  return async call => {
    const run = await allocate(call, name, count, idempotencyKey);
    const { output, json } = call;
    const values = count === 1 ? `${run.start}` : `${run.start}..${run.end} count ${run.count}`;
    await output.line(json ? allocationJson(name, run) : `${head('reserved', name, run, output.rendering)} ${values}`);
    return true;
  };
}

export function deletion(name: string): Run {
  return async ({ client, signal, output, json }) => {
    const deleted = await client.sequence(name).delete({ signal });
    const { style } = output.rendering;
    await output.line(json ? toJson({ name, deleted }) : deleted ? style.state('deleted') : style.miss('not found'));
    return true;
  };
}

export const createSequence: Prepare = options => {
  const { 'create-sequence': name = '', 'initial-value': initialValue = 0n, increment = 1n, 'max-value': maxValue } = options;
  return creation({ name, initialValue, increment, maxValue });
};

export const getSequence: Prepare = ({ 'get-sequence': name = '' }) => show(name);

export const nextSequence: Prepare = ({ 'next-sequence': name = '', 'idempotency-key': key }) => next(name, key);

export const reserveSequence: Prepare = ({ 'reserve-sequence': name = '', count = 1, 'idempotency-key': key }) => {
  if (count < 1) throw new UsageError('--count is the number of values to reserve, at least 1');
  return reserve(name, count, key);
};

export const deleteSequence: Prepare = ({ 'delete-sequence': name = '' }) => deletion(name);

function allocate(
  { client, signal }: Call,
  name: string,
  count: number,
  idempotencyKey: string | undefined,
): Promise<Allocation> {
  return client.sequence(name).reserve(count, { signal, idempotencyKey });
}

function head(word: string, name: string, { revision }: { revision: bigint }, rendering: Rendering): string {
  return `r${revision} ${rendering.style.state(word)} ${rendering.style.key(shown(name, rendering))}`;
}

type Shown = Pick<SequenceState, 'name' | 'currentValue' | 'increment' | 'maxValue' | 'revision'>;

export function stateLine(word: string, state: Shown, rendering: Rendering): string {
  const { name, currentValue, increment, maxValue } = state;
  return `${head(word, name, state, rendering)} current ${currentValue} increment ${increment} max ${maxValue ?? '-'}`;
}

export function documentOf(state: SequenceState | undefined): string {
  if (state === undefined) return 'null';
  const { name, currentValue, initialValue, increment, maxValue = null, revision, createdAt, updatedAt } = state;
  const stamp = ({ n, l, c }: { n: number; l: number; c: number }): Json => ({ n, l, c });
  return toJson({
    ...{ name, currentValue, initialValue, increment, maxValue, revision, durability: 1 },
    ...{ createdAt: stamp(createdAt), updatedAt: stamp(updatedAt) },
  });
}

function allocationJson(name: string, { start, end, count, revision }: Allocation): string {
  return toJson({ name, start, end, count, revision });
}
