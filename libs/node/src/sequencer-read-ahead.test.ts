import { HLC_ZERO, Rng } from '@kahuna/base';
import {
  createPartitionMachine,
  FEATURE_LEVEL,
  HeadCache,
  type OperationResult,
  type SequenceAllocate,
  type SequenceAllocation,
  type SequenceCommand,
} from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import { CROWD } from './read-ahead.ts';
import { PendingRequest, type RequestOrigin } from './request.ts';
import { Sequencer } from './sequencer.ts';

const POLICY = { lockSkewMs: 0, blockSize: 1000, retentionMax: 256, retentionMs: 0 };

interface Asked {
  readonly count: number;
  answer: OperationResult | undefined;
}

/** A sequencer over a state machine that applies entries when a test says so. */
class World {
  nowMs = 1000;
  private readonly machine = createPartitionMachine({
    partitionId: 2,
    poolSize: 1,
    headCache: new HeadCache({ maxEntries: 100, maxBytes: 1e6 }),
  });
  private stamps = 0;
  entries: { readonly command: SequenceAllocate; readonly origin: RequestOrigin }[] = [];
  applied = 0;
  private readonly sequencer: Sequencer;

  constructor(maxValue?: bigint, blockSize?: number) {
    this.execute({ kind: 'sequence-create', key: 's', initialValue: 0n, increment: 1n, maxValue, blockSize });
    this.sequencer = new Sequencer({
      policy: POLICY,
      maxBlocks: 0,
      maxWaiting: 1_000_000,
      nowMs: () => this.nowMs,
      sequence: name => this.machine.sequence(name),
      fetch: () => undefined,
      propose: (command, origin) => void this.entries.push({ command, origin }),
      evaluated: (request, result) => request.answer(result),
    });
  }

  execute(command: SequenceCommand): OperationResult {
    const { machine } = this;
    const stamp = { n: 1, l: this.nowMs, c: ++this.stamps };
    const id = { node: 1, boot: 1, number: this.stamps };
    const batch = { stamp, level: FEATURE_LEVEL, policy: POLICY, proposals: [{ id, receipt: stamp, command }] };
    machine.supply(machine.needs(batch).map(key => ({ key, value: undefined })));
    return machine.apply(machine.appliedIndex + 1, 1, batch)[0] as OperationResult;
  }

  get mark(): bigint | undefined {
    return this.machine.sequence('s')?.state?.live?.mark;
  }

  ask(count = 1, idempotencyKey = ''): Asked {
    const asked: Asked = { count, answer: undefined };
    const origin: RequestOrigin = {
      answer: (_request, result) => {
        if (asked.answer !== undefined) throw new Error('answered twice');
        asked.answer = result;
      },
      refuse: () => expect.unreachable(),
    };
    const operation = { kind: 'sequence-reserve', key: 's', count, idempotencyKey } as const;
    const request = new PendingRequest(operation, 2, origin, undefined, 0, 1, 0, 1, 1, 1, HLC_ZERO, false);
    const result = this.sequencer.take(request);
    if (result !== undefined) request.answer(result);
    return asked;
  }

  apply(entries = this.entries.length): void {
    for (const { command, origin } of this.entries.splice(0, entries)) {
      this.applied++;
      origin.answer({ done: false } as PendingRequest, this.execute(command));
    }
  }

  /** Everybody asks at once, and the entry that they wait for is applied. */
  crowd(): void {
    const asked = Array.from({ length: CROWD }, () => this.ask());
    this.apply();
    for (const { answer } of asked) startOf(answer);
  }

  /** So many values one after the other, at so many a millisecond; each is here at once. */
  draw(values: number, perMs: number): void {
    for (let i = 0; i < values; i++) {
      if (i % perMs === 0) this.nowMs++;
      startOf(this.ask().answer);
    }
  }
}

/** Plain comparisons instead of matchers, here and below: they are asked for every value. */
function startOf(answer: OperationResult | undefined): bigint {
  const detail = answer?.detail;
  if (detail?.kind !== 'sequence-allocation') throw new Error(`no value: ${answer?.type}`);
  return detail.start;
}

/** Asks for runs of all sizes, keyed and not, while entries are applied late and in parts; returns how many blocks were reserved early. */
function askAtRandom(seed: number): number {
  const rng = new Rng(seed);
  const world = new World();
  const open: { readonly asked: Asked; readonly above: bigint }[] = [];
  const taken: SequenceAllocation[] = [];
  let highest = 0n;
  let early = 0;
  const collect = (): void => {
    for (const each of open.splice(0)) {
      const { asked, above } = each;
      if (asked.answer === undefined) {
        open.push(each);
        continue;
      }
      const run = asked.answer.detail as SequenceAllocation;
      if (startOf(asked.answer) <= above || run.count !== asked.count)
        throw new Error(`seed ${seed}: ${run.start} after ${above}`);
      taken.push(run);
      if (run.end > highest) highest = run.end;
    }
  };
  for (let step = 0; step < 120; step++) {
    for (let i = rng.int(1, 30); i > 0; i--) {
      const count = rng.int(0, 3) > 0 ? 1 : rng.int(0, 40) === 0 ? rng.int(900, 2500) : rng.int(2, 80);
      open.push({ asked: world.ask(count, rng.int(0, 9) === 0 ? `k${step}-${i}` : ''), above: highest });
    }
    collect();
    world.nowMs += rng.int(0, 3);
    early = Math.max(early, world.entries.filter(({ command }) => command.from === undefined && command.count === 1).length);
    if (rng.int(0, 2) === 0) world.apply(rng.int(1, world.entries.length + 1));
    collect();
  }
  while (world.entries.length > 0) world.apply();
  collect();
  expect(open).toEqual([]);
  taken.sort((a, b) => Number(a.start - b.start));
  for (let i = 1; i < taken.length; i++) {
    if ((taken[i] as SequenceAllocation).start <= (taken[i - 1] as SequenceAllocation).end)
      throw new Error(`seed ${seed}: twice`);
  }
  return early;
}

describe('blocks of a sequence in demand', () => {
  test('are reserved before the present one runs out: nobody waits again, and each is as large as ever', () => {
    const world = new World();
    world.crowd();
    world.draw(900, 50);
    expect(world.entries.length).toBeGreaterThan(1);
    expect(new Set(world.entries.map(({ command }) => `${command.count} ${command.idempotencyKey}`))).toEqual(new Set(['1 ']));
    for (let i = 0; i < 20; i++) {
      world.apply();
      expect(world.mark).toBe(BigInt(1000 * world.applied));
      world.draw(700, 50);
    }
  });

  test('are never more than what goes in two tenths of a second', () => {
    const world = new World();
    world.crowd();
    let issued = CROWD;
    for (let i = 0; i < 100; i++) {
      world.draw(300, 60);
      issued += 300;
      world.apply();
      expect(Number(world.mark) - issued).toBeLessThan(2 * 6000 + 1000);
    }
  });

  test('are reserved as they run out where one client asks after the other, however fast', () => {
    const world = new World();
    expect(world.ask().answer).toBeUndefined();
    world.apply();
    world.draw(999, 500);
    expect([world.applied, world.entries.length, world.mark]).toEqual([1, 0, 1000n]);
  });

  test('and where there are few values to a block by choice', () => {
    const world = new World(undefined, 20);
    world.crowd();
    world.draw(12, 1);
    expect([world.applied, world.entries.length]).toEqual([1, 0]);
  });

  test('and near the maximum, where a run would be refused that still fits', () => {
    const world = new World(3000n);
    world.crowd();
    world.draw(900, 50);
    expect(world.entries).toHaveLength(0);
    const run = world.ask(1500);
    world.apply();
    expect(startOf(run.answer)).toBe(1001n);
  });

  test('and once the demand is over', () => {
    const world = new World();
    world.crowd();
    world.draw(900, 5);
    expect(world.entries).toHaveLength(0);
  });

  test('a run too long for all of them is reserved for itself; the run ends their use', () => {
    const world = new World();
    world.crowd();
    world.draw(900, 50);
    world.apply();
    const mark = world.mark as bigint;
    const run = world.ask(1500);
    const next = world.ask();
    world.apply();
    expect([startOf(run.answer), startOf(next.answer)]).toEqual([mark + 1n, mark + 1501n]);
    world.apply();
  });

  test('a keyed run reserved for itself ends their use as well', () => {
    const world = new World();
    world.crowd();
    world.draw(900, 50);
    world.apply();
    const run = world.ask(1500, 'key');
    world.apply();
    const next = world.ask();
    world.apply();
    expect(startOf(next.answer)).toBeGreaterThan(startOf(run.answer));
  });

  test('an update voids all of them', () => {
    const world = new World();
    world.crowd();
    world.draw(900, 50);
    world.apply();
    const nothing = { increment: undefined, initialValue: undefined, maxValue: undefined, blockSize: undefined };
    const rest = { ...nothing, removeMaxValue: false, removeBlockSize: false };
    world.execute({ kind: 'sequence-update', key: 's', currentValue: 500_000n, ...rest });
    const asked = world.ask();
    world.apply();
    expect(startOf(asked.answer)).toBe(500_001n);
  });

  test('whatever comes, no value comes twice, and a run that begins after another was answered is above it (sequences §6.1)', () => {
    let early = 0;
    for (let seed = 1; seed <= 40; seed++) early = Math.max(early, askAtRandom(seed));
    expect(early).toBeGreaterThan(3);
  });
});
