import { ByteWriter, type Hlc } from '@kahuna/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Replica } from '../test/replica.ts';
import {
  type Command,
  type CommandBatch,
  type CommandPolicy,
  Durability,
  decodeBatch,
  encodeBatch,
  type LockOperation,
  LockResponseType,
  type OperationResult,
  type SequenceAllocate,
  type SequenceCreate,
  SequenceResponseType,
  type SequenceUpdate,
} from './index.ts';

/**
 * Two replicas that flush, evict and restart at different moments, and a model that does none of it: the same entries give the same
 * answers everywhere (P5), the same checksum and in the end the same rows. Terms change, clocks stand still or jump.
 */

interface ModelLock {
  owner: string;
  endMs: number;
  term: number;
  token: number;
  lapsed: boolean;
}

interface ModelSequence {
  exists: boolean;
  revision: number;
  mark: bigint;
  increment: bigint;
  max: bigint | undefined;
  block: number | undefined;
  incarnation: number;
  stream: number;
  replays: { key: string; count: number; start: bigint; revision: number; atMs: number }[];
}

const INT64_MAX = 2n ** 63n - 1n;

/** locks §5 and sequences §5 to §8 said once more, as plainly as possible. */
class Model {
  readonly locks = new Map<string, ModelLock>();
  readonly sequences = new Map<string, ModelSequence>();

  apply(command: Command, nowMs: number, term: number, policy: CommandPolicy): string {
    if ('owner' in command) return this.lock(command, nowMs, term, policy.lockSkewMs);
    return this.sequence(command as SequenceCreate | SequenceUpdate | SequenceAllocate, nowMs, policy);
  }

  private lock(command: LockOperation, nowMs: number, term: number, skewMs: number): string {
    const owner = String(command.owner);
    const lock = this.locks.get(command.key);
    const owned = lock !== undefined && lock.owner !== '';
    const over = owned && (lock.lapsed || lock.endMs + (lock.term < term ? skewMs : 0) < nowMs);
    switch (command.kind) {
      case 'lock-acquire': {
        if (owned && !over) return lock.owner === owner ? `Locked ${lock.token}` : 'Busy 0';
        const token = (lock?.token ?? -1) + 1;
        this.locks.set(command.key, { owner, endMs: nowMs + command.expiresMs, term, token, lapsed: false });
        return `Locked ${token}`;
      }
      case 'lock-extend':
        if (!owned) return 'LockDoesNotExist 0';
        if (over) return this.missing(lock, nowMs, skewMs);
        if (lock.owner !== owner) return 'InvalidOwner 0';
        lock.endMs = nowMs + command.expiresMs;
        lock.term = term;
        return `Extended ${lock.token}`;
      case 'lock-release':
        if (!owned) return 'LockDoesNotExist 0';
        if (lock.owner !== owner) return 'InvalidOwner 0';
        lock.owner = '';
        lock.lapsed = false;
        return 'Unlocked 0';
      case 'lock-info':
        if (!owned) return 'LockDoesNotExist 0';
        return over ? this.missing(lock, nowMs, skewMs) : `Got ${lock.token}`;
    }
  }

  /** Once somebody was told, it stays so, even where a later term would have been more patient. */
  private missing(lock: ModelLock, nowMs: number, skewMs: number): string {
    if (nowMs <= lock.endMs + skewMs) lock.lapsed = true;
    return 'LockDoesNotExist 0';
  }

  private sequence(
    command: SequenceCreate | SequenceUpdate | SequenceAllocate | { readonly kind: 'sequence-delete'; readonly key: string },
    nowMs: number,
    policy: CommandPolicy,
  ): string {
    const before = this.sequences.get(command.key);
    if (command.kind === 'sequence-create') {
      if (before?.exists) return 'AlreadyExists -1';
      const revision = before === undefined ? 0 : before.revision + 1;
      const { initialValue: mark, increment, maxValue: max, blockSize: block } = command;
      const incarnation = 0;
      this.sequences.set(command.key, {
        exists: true,
        revision,
        mark,
        increment,
        max,
        block,
        incarnation,
        stream: revision,
        replays: [],
      });
      return `Success ${revision}`;
    }
    if (!before?.exists) return `NotFound ${command.kind === 'sequence-update' ? -1 : 0}`;
    if (command.kind === 'sequence-delete') {
      before.exists = false;
      return 'Success 0';
    }
    return command.kind === 'sequence-update' ? this.update(before, command) : this.allocate(before, command, nowMs, policy);
  }

  private update(s: ModelSequence, command: SequenceUpdate): string {
    const mark = command.currentValue ?? s.mark;
    const max = command.removeMaxValue ? undefined : (command.maxValue ?? s.max);
    if (max !== undefined && max < mark) return 'InvalidInput -1';
    s.mark = mark;
    s.max = max;
    s.increment = command.increment ?? s.increment;
    s.block = command.removeBlockSize ? undefined : (command.blockSize ?? s.block);
    s.incarnation++;
    s.revision++;
    s.stream = s.revision;
    s.replays = [];
    return `Success ${s.revision}`;
  }

  private allocate(s: ModelSequence, command: SequenceAllocate, nowMs: number, policy: CommandPolicy): string {
    const { count, idempotencyKey: key } = command;
    const isYoung = (atMs: number): boolean => policy.retentionMs === 0 || nowMs - atMs <= policy.retentionMs;
    const known = s.replays.find(replay => key !== '' && replay.key === key && isYoung(replay.atMs));
    if (known !== undefined) return known.count === count ? this.run(s, known) : 'InvalidInput 0';
    let run = command.from;
    if (run === undefined) {
      const room = ((s.max ?? INT64_MAX) - s.mark) / s.increment;
      if (room < BigInt(count)) return 'MaxValueExceeded 0';
      run = { start: s.mark + s.increment, revision: s.revision + 1 };
      const wanted = BigInt(Math.max(s.block ?? policy.blockSize, count));
      s.mark += s.increment * (room < wanted ? room : wanted);
      s.revision++;
    } else if (run.revision < s.stream) return 'MustRetry 0';
    const made = { key, count, start: run.start, revision: run.revision, atMs: nowMs };
    if (key !== '') {
      s.replays = [...s.replays.filter(replay => replay.key !== key), made];
      while (s.replays.length > 1 && policy.retentionMax > 0 && s.replays.length > policy.retentionMax) s.replays.shift();
      s.replays = s.replays.filter(replay => isYoung(replay.atMs));
    }
    return this.run(s, made);
  }

  private run(s: ModelSequence, run: { start: bigint; count: number; revision: number }): string {
    return `Success ${run.revision} ${run.start}..${run.start + s.increment * BigInt(run.count - 1)}`;
  }
}

const LOCK_NAMES = new Map<number, string>(Object.entries(LockResponseType).map(([name, number]) => [number, name]));
const SEQUENCE_NAMES = new Map<number, string>(Object.entries(SequenceResponseType).map(([name, number]) => [number, name]));

function show(command: Command, result: OperationResult): string {
  const names = 'owner' in command ? LOCK_NAMES : SEQUENCE_NAMES;
  const { detail } = result;
  const run = detail?.kind === 'sequence-allocation' ? ` ${detail.start}..${detail.end}` : '';
  return `${names.get(result.type)} ${result.revision}${run}`;
}

const NAMES = ['a', 'a/b', 'z|y', 'n\0ü😀'];
const name = fc.constantFrom(...NAMES);
const lock: fc.Arbitrary<LockOperation> = fc
  .record({
    kind: fc.constantFrom(
      'lock-acquire' as const,
      'lock-acquire' as const,
      'lock-extend' as const,
      'lock-release' as const,
      'lock-info' as const,
    ),
    key: name,
    owner: fc.constantFrom(new Uint8Array([1]), new Uint8Array([2]), new Uint8Array([1, 0])),
    expiresMs: fc.constantFrom(1, 1, 5, 20, 1000),
  })
  .map(fields => ({ ...fields, durability: Durability.Persistent }));
const value = fc.oneof(fc.bigInt({ min: -20n, max: 60n }), fc.constantFrom(INT64_MAX, INT64_MAX - 3n, -(2n ** 63n)));
const increment = fc.oneof(fc.bigInt({ min: 1n, max: 4n }), fc.constant(2n ** 62n));
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const block = fc.constantFrom(1, 2, 7, 1000);
const create: fc.Arbitrary<Command> = fc
  .record({ key: name, initialValue: value, increment, maxValue: maybe(value), blockSize: maybe(block) })
  .filter(({ initialValue, maxValue }) => maxValue === undefined || maxValue >= initialValue)
  .map(fields => ({ kind: 'sequence-create' as const, ...fields }));
const update: fc.Arbitrary<Command> = fc
  .record({
    key: name,
    currentValue: maybe(value),
    increment: maybe(increment),
    initialValue: maybe(value),
    maxValue: maybe(value),
    removeMaxValue: fc.boolean(),
    blockSize: maybe(block),
    removeBlockSize: fc.boolean(),
  })
  .map(fields => ({ kind: 'sequence-update' as const, ...fields }));
const allocate: fc.Arbitrary<Command> = fc
  .record({
    key: name,
    count: fc.constantFrom(1, 1, 2, 3, 10, 2_147_483_647),
    idempotencyKey: fc.constantFrom('', '', 'k1', 'k2', 'k3', 'ü'.repeat(100)),
    from: maybe(fc.record({ start: fc.bigInt({ min: 0n, max: 30n }), revision: fc.nat(6) })),
  })
  .map(fields => ({ kind: 'sequence-allocate' as const, ...fields }));
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: lock },
  { weight: 2, arbitrary: create },
  { weight: 1, arbitrary: update },
  { weight: 1, arbitrary: name.map(key => ({ kind: 'sequence-delete' as const, key })) },
  { weight: 6, arbitrary: allocate },
);

type Action =
  | { readonly kind: 'batch'; readonly commands: readonly Command[]; readonly policy: CommandPolicy }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'elect' }
  | { readonly kind: 'begin-flush' | 'end-flush' | 'restart'; readonly replica: 0 | 1 };

const policy: fc.Arbitrary<CommandPolicy> = fc.record({
  lockSkewMs: fc.constantFrom(0, 10),
  blockSize: fc.constantFrom(1, 5, 1000),
  retentionMax: fc.constantFrom(0, 1, 2),
  retentionMs: fc.constantFrom(0, 15),
});
const which = fc.constantFrom<0 | 1>(0, 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      commands: fc.array(command, { minLength: 1, maxLength: 6 }),
      policy,
    }),
  },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 12 }).map(ms => ({ kind: 'pass' as const, ms })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'elect' as const }) },
  { weight: 2, arbitrary: which.map(replica => ({ kind: 'begin-flush' as const, replica })) },
  { weight: 2, arbitrary: which.map(replica => ({ kind: 'end-flush' as const, replica })) },
  { weight: 1, arbitrary: which.map(replica => ({ kind: 'restart' as const, replica })) },
);

class Trial {
  private readonly replicas = [new Replica({ maxEntries: 2, maxBytes: 3000 }), new Replica()] as const;
  private readonly model = new Model();
  private readonly log: { readonly batch: CommandBatch; readonly term: number }[] = [];
  private readonly writer = new ByteWriter();
  private nowMs = 1000;
  private term = 1;
  private last: Hlc = { n: 1, l: 999, c: 0 };
  private number = 0;

  perform(step: Action): void {
    switch (step.kind) {
      case 'pass':
        this.nowMs += step.ms;
        return;
      case 'elect':
        this.term++;
        return;
      case 'begin-flush':
        this.replicas[step.replica].beginFlush();
        return;
      case 'end-flush':
        this.replicas[step.replica].endFlush();
        return;
      case 'restart':
        this.restart(this.replicas[step.replica]);
        return;
      case 'batch':
        this.batch(step.commands, step.policy);
    }
  }

  private restart(replica: Replica): void {
    replica.restart();
    for (const { batch, term } of this.log.slice(replica.machine.appliedIndex)) replica.apply(batch, term);
    this.compareReplicas();
  }

  private batch(commands: readonly Command[], policy: CommandPolicy): void {
    const stamp = this.nowMs > this.last.l ? { n: 1, l: this.nowMs, c: 0 } : { ...this.last, c: this.last.c + 1 };
    this.last = { ...stamp, c: stamp.c + commands.length - 1 };
    const proposals = commands.map(one => ({ id: { node: 1, boot: 1, number: this.number++ }, receipt: stamp, command: one }));
    const batch = { stamp, level: 1, policy, proposals };
    this.log.push({ batch: decodeBatch(encodeBatch(this.writer, batch)), term: this.term });
    const expected = commands.map(one => this.model.apply(one, stamp.l, this.term, policy));
    // The leader applies what it proposed, the follower what came over the wire.
    const applied = [
      this.replicas[0].apply(batch, this.term),
      this.replicas[1].apply(this.log.at(-1)?.batch as CommandBatch, this.term),
    ];
    for (const results of applied) expect(results.map((result, i) => show(commands[i] as Command, result))).toEqual(expected);
    this.compareReplicas();
    this.read();
  }

  private compareReplicas(): void {
    expect(this.replicas[0].machine.checksum).toBe(this.replicas[1].machine.checksum);
  }

  /** What reads say, through a table of two rows and through one that holds all. */
  private read(): void {
    const nowMs = this.last.l;
    for (const key of NAMES) {
      const expected = this.model.sequences.get(key);
      for (const replica of this.replicas) {
        const answer = replica.read({ kind: 'sequence-get', key }, nowMs);
        if (!expected?.exists) expect(answer).toMatchObject({ type: SequenceResponseType.NotFound, revision: -1 });
        else {
          const { revision, mark, increment: step, incarnation, max, block: size } = expected;
          expect(answer.detail).toMatchObject({
            currentValue: mark,
            increment: step,
            maxValue: max,
            blockSize: size,
            incarnation,
            revision,
          });
        }
      }
      const info: LockOperation = {
        kind: 'lock-info',
        key,
        owner: new Uint8Array(0),
        expiresMs: 0,
        durability: Durability.Persistent,
      };
      const [one, other] = this.replicas.map(replica => replica.tryRead(info, nowMs));
      expect(one).toEqual(other);
      const lockOf = this.model.locks.get(key);
      if (one?.type === LockResponseType.Got) expect(one.revision).toBe(lockOf?.token);
    }
  }

  finish(): void {
    for (const replica of this.replicas) replica.flush();
    for (const replica of this.replicas) replica.restart();
    this.compareReplicas();
    this.read();
    const [a, b] = this.replicas;
    expect(new Map([...a.engine.rows].sort())).toEqual(new Map([...b.engine.rows].sort()));
  }
}

test('invariants 5, 7 and 8: locks and sequences answer as the model does, however replicas flush, evict, restart and elect', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 1, maxLength: 50 }), actions => {
      const trial = new Trial();
      for (const step of actions) trial.perform(step);
      trial.finish();
    }),
    { numRuns: 200 },
  );
});
