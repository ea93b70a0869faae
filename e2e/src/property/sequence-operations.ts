import fc from 'fast-check';
import type { AllocationAnswer, EntryAnswer, SequenceApi } from '../clients/sequence-api.ts';
import { SequenceType } from '../clients/sequence-api.ts';

export type SequenceOperation = { readonly via: number; readonly name: string } & (
  | {
      readonly kind: 'create' | 'update';
      /** Of an update, undefined: unchanged. */
      readonly initialValue: number | undefined;
      readonly increment: number | undefined;
      readonly maxValue: number | undefined;
      readonly blockSize: number | undefined;
      readonly currentValue: number | undefined;
      readonly removeMaxValue: boolean;
      readonly removeBlockSize: boolean;
    }
  | { readonly kind: 'get' | 'delete' }
  | { readonly kind: 'next' | 'reserve'; readonly count: number; readonly key: string | undefined }
);

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const route = { via: fc.nat({ max: 999 }), name: fc.constantFrom('~one', '~two') };
const parameters = {
  initialValue: optional(fc.constantFrom(0, 5, -3)),
  increment: optional(
    fc.oneof({ weight: 8, arbitrary: fc.constantFrom(1, 2, 10) }, { weight: 1, arbitrary: fc.constantFrom(0, -1) }),
  ),
  maxValue: optional(fc.integer({ min: -4, max: 60 })),
  blockSize: optional(
    fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 1, max: 5 }) }, { weight: 1, arbitrary: fc.constant(0) }),
  ),
  currentValue: optional(fc.integer({ min: -5, max: 40 })),
};
const flag = fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const count = fc.oneof(
  { weight: 10, arbitrary: fc.integer({ min: 1, max: 7 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -1) },
);

export const sequenceOperation: fc.Arbitrary<SequenceOperation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ ...route, ...parameters, kind: fc.constant('create' as const) },
      ...{ removeMaxValue: fc.constant(false), removeBlockSize: fc.constant(false) },
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...route,
      ...parameters,
      kind: fc.constant('update' as const),
      removeMaxValue: flag,
      removeBlockSize: flag,
    }),
  },
  { weight: 3, arbitrary: fc.record({ ...route, kind: fc.constant('get' as const) }) },
  { weight: 1, arbitrary: fc.record({ ...route, kind: fc.constant('delete' as const) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      ...{ ...route, kind: fc.constantFrom('next' as const, 'reserve' as const), count },
      key: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: fc.constantFrom('k1', 'k2', ' ') }),
    }),
  },
);

/** The server's block size where a sequence has none (`--sequencer-block-size`). */
const DEFAULT_BLOCK = 1000n;
const MAX_VALUE = 2n ** 63n - 1n;

interface Allocated {
  readonly start: bigint;
  readonly count: bigint;
  readonly revision: bigint;
}

interface ModelSequence {
  exists: boolean;
  initial: bigint;
  mark: bigint;
  increment: bigint;
  max: bigint | null;
  blockSize: bigint | null;
  revision: bigint;
  incarnation: bigint;
  /** Next value of the block, and how many there are. */
  next: bigint;
  left: bigint;
  blockRevision: bigint;
  readonly keys: Map<string, Allocated>;
}

const wide = (value: number | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));
const told = (...members: unknown[]): string => members.map(String).join(' ');

/** sequences §5 to §8 under one owner that forgets nothing, as plainly as possible. */
class SequenceModel {
  private readonly sequences = new Map<string, ModelSequence>();

  ask(operation: SequenceOperation): string {
    const sequence = this.sequences.get(operation.name);
    const known = sequence?.exists ? sequence : undefined;
    switch (operation.kind) {
      case 'create':
        return this.create(operation, sequence);
      case 'update':
        return this.update(operation, known);
      case 'get':
        return known === undefined ? told('entry', SequenceType.NotFound, -1) : entryOf(known);
      case 'delete':
        if (known === undefined) return told('entry', SequenceType.NotFound, 0);
        known.exists = false;
        return told('entry', SequenceType.Success, 0);
      default:
        return this.allocate(operation.kind === 'next' ? 1n : BigInt(operation.count), operation.key?.trim() || undefined, known);
    }
  }

  private create(
    operation: Extract<SequenceOperation, { kind: 'create' | 'update' }>,
    before: ModelSequence | undefined,
  ): string {
    const initial = wide(operation.initialValue) ?? 0n;
    const increment = wide(operation.increment) ?? 1n;
    const max = wide(operation.maxValue) ?? null;
    const blockSize = wide(operation.blockSize) ?? null;
    const bad = increment <= 0n || (max !== null && max < initial) || (blockSize !== null && blockSize < 1n);
    if (bad) return told('entry', SequenceType.InvalidInput, -1);
    if (before?.exists) return told('entry', SequenceType.AlreadyExists, -1);
    const revision = before === undefined ? 0n : before.revision + 1n;
    this.sequences.set(operation.name, {
      ...{ exists: true, initial, mark: initial, increment, max, blockSize, revision, incarnation: 0n },
      ...{ next: 0n, left: 0n, blockRevision: 0n, keys: new Map() },
    });
    return told('entry', SequenceType.Success, revision);
  }

  private update(operation: Extract<SequenceOperation, { kind: 'create' | 'update' }>, known: ModelSequence | undefined): string {
    const { removeMaxValue, removeBlockSize } = operation;
    const [current, initial, increment, max, blockSize] = [
      operation.currentValue,
      operation.initialValue,
      operation.increment,
      operation.maxValue,
      operation.blockSize,
    ].map(wide);
    const nothing = [current, initial, increment, max, blockSize].every(change => change === undefined);
    const refused = told('entry', SequenceType.InvalidInput, -1);
    if (nothing && !removeMaxValue && !removeBlockSize) return refused;
    if ((increment !== undefined && increment <= 0n) || (blockSize !== undefined && blockSize < 1n)) return refused;
    if ((max !== undefined && removeMaxValue) || (blockSize !== undefined && removeBlockSize)) return refused;
    if (known === undefined) return told('entry', SequenceType.NotFound, -1);
    const newMax = removeMaxValue ? null : (max ?? known.max);
    const mark = current ?? known.mark;
    if (newMax !== null && newMax < mark) return refused;
    Object.assign(known, {
      ...{ mark, max: newMax, initial: initial ?? known.initial, increment: increment ?? known.increment },
      ...{ blockSize: removeBlockSize ? null : (blockSize ?? known.blockSize), left: 0n },
      ...{ revision: known.revision + 1n, incarnation: known.incarnation + 1n },
    });
    known.keys.clear();
    return told('entry', SequenceType.Success, known.revision);
  }

  private allocate(wanted: bigint, key: string | undefined, known: ModelSequence | undefined): string {
    if (wanted <= 0n) return told('allocation', SequenceType.InvalidInput);
    if (known === undefined) return told('allocation', SequenceType.NotFound);
    const before = key === undefined ? undefined : known.keys.get(key);
    if (before !== undefined) {
      return before.count === wanted ? allocationOf(before, known.increment) : told('allocation', SequenceType.InvalidInput);
    }
    if (known.left < wanted && !this.reserve(known, wanted)) return told('allocation', SequenceType.MaxValueExceeded);
    const allocated = { start: known.next, count: wanted, revision: known.blockRevision };
    known.next += known.increment * wanted;
    known.left -= wanted;
    if (key !== undefined) known.keys.set(key, allocated);
    return allocationOf(allocated, known.increment);
  }

  /** sequences §6 steps 2 and 3; false: it does not fit. */
  private reserve(known: ModelSequence, wanted: bigint): boolean {
    const { mark, increment } = known;
    const room = ((known.max ?? MAX_VALUE) - mark) / increment;
    if (mark + increment * wanted > (known.max ?? MAX_VALUE)) return false;
    const block = known.blockSize ?? DEFAULT_BLOCK;
    const reserved = [block > wanted ? block : wanted, room].reduce((a, b) => (a < b ? a : b));
    known.revision += 1n;
    Object.assign(known, {
      next: mark + increment,
      left: reserved,
      mark: mark + increment * reserved,
      blockRevision: known.revision,
    });
    return true;
  }
}

const allocationOf = ({ start, count: n, revision }: Allocated, increment: bigint): string =>
  told('allocation', SequenceType.Success, start, start + (n - 1n) * increment, n, revision);

const entryOf = (known: ModelSequence): string =>
  told(
    ...['entry', SequenceType.Success, known.revision, known.mark, known.initial, known.increment],
    ...[known.max, known.blockSize, known.incarnation],
  );

/** The client library has one word for a change and its removal, so it cannot ask for both; a blank key it refuses itself. */
function isInLibrary(operation: SequenceOperation): boolean {
  if (operation.kind === 'next' || operation.kind === 'reserve') return operation.key?.trim() !== '';
  if (operation.kind !== 'update') return true;
  const { maxValue, removeMaxValue, blockSize, removeBlockSize } = operation;
  return !(removeMaxValue && maxValue !== undefined) && !(removeBlockSize && blockSize !== undefined);
}

export interface SequenceSurfaces {
  readonly transports: readonly SequenceApi[];
  readonly libraries: readonly SequenceApi[];
}

/** One list of operations against the server and the model, on sequences that nobody has used. */
export async function runSequences(
  { transports, libraries }: SequenceSurfaces,
  own: string,
  operations: readonly SequenceOperation[],
): Promise<void> {
  const model = new SequenceModel();
  const all = [...transports, ...libraries];
  for (const [i, generated] of operations.entries()) {
    const apis = isInLibrary(generated) ? all : transports;
    const api = apis[generated.via % apis.length] as SequenceApi;
    const operation = { ...generated, name: generated.name.replace('~', own) };
    const got = await call(api, operation);
    const wanted = model.ask(operation);
    if (got !== wanted) throw new Error(`operation ${i}, ${operation.kind} over ${api.name}: ${got}, not ${wanted}`);
  }
}

async function call(api: SequenceApi, operation: SequenceOperation): Promise<string> {
  const { name } = operation;
  switch (operation.kind) {
    case 'create':
      return fromEntry(await api.create(name, given(operation)), false);
    case 'update': {
      const { removeMaxValue, removeBlockSize, currentValue } = operation;
      const changes = { ...given(operation), removeMaxValue, removeBlockSize };
      return fromEntry(
        await api.update(name, currentValue === undefined ? changes : { ...changes, currentValue: BigInt(currentValue) }),
        false,
      );
    }
    case 'get':
      return fromEntry(await api.get(name), true);
    case 'delete':
      return fromEntry(await api.delete(name), false);
    case 'next':
      return fromAllocation(await api.next(name, operation.key));
    case 'reserve':
      return fromAllocation(await api.reserve(name, operation.count, operation.key));
  }
}

function given({ initialValue, increment, maxValue, blockSize }: Extract<SequenceOperation, { kind: 'create' | 'update' }>) {
  return {
    ...(initialValue === undefined ? {} : { initialValue: BigInt(initialValue) }),
    ...(increment === undefined ? {} : { increment: BigInt(increment) }),
    ...(maxValue === undefined ? {} : { maxValue: BigInt(maxValue) }),
    ...(blockSize === undefined ? {} : { blockSize }),
  };
}

/** REST tells the entry after a create and an update too; the model tells it of a get alone. */
function fromEntry({ type, revision, entry }: EntryAnswer, wantsEntry: boolean): string {
  if (entry === null || !wantsEntry) return told('entry', type, revision);
  const { currentValue, initialValue, increment, maxValue, blockSize, incarnation } = entry;
  return told('entry', type, revision, currentValue, initialValue, increment, maxValue, blockSize, incarnation);
}

function fromAllocation({ type, start, end, count: n, revision }: AllocationAnswer): string {
  return type === SequenceType.Success ? told('allocation', type, start, end, n, revision) : told('allocation', type);
}
