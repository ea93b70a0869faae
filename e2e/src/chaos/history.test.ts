import { checkRegisters } from '@kahuna/sim';
import { expect, test } from 'vitest';
import { type Answer, Flag, type KvApi, type SetRequest, Type, ZERO } from '../clients/kv-api.ts';
import { HANGS_MS, sleep, until } from '../harness/processes.ts';
import { Workload } from './history.ts';

/** A key/value server in a map, right in every answer unless told to lie. */
class MapKv {
  readonly keys = new Map<string, { value: Buffer | null; live: boolean; counter: number }>();
  lie: 'none' | 'lose a write' | 'read the past' = 'none';
  private calls = 0;
  private past: Answer | undefined;

  private record(key: string): { value: Buffer | null; live: boolean; counter: number } {
    const record = this.keys.get(key) ?? { value: null, live: false, counter: -1 };
    this.keys.set(key, record);
    return record;
  }

  private answer(type: number, revision: number, value: Buffer | null = null): Answer {
    return { type, revision, value, expires: ZERO, lastModified: ZERO, route: null };
  }

  private get lying(): boolean {
    this.calls += 1;
    return this.lie !== 'none' && this.calls % 40 === 0;
  }

  async set(request: SetRequest): Promise<Answer> {
    await sleep(1);
    const record = this.record(request.key);
    const flags = request.flags ?? 1;
    if ((flags & Flag.IfNotExists) !== 0 && record.live) return this.answer(Type.NotSet, record.counter);
    const matches = record.live
      ? record.counter === request.compareRevision
      : record.counter === -1 && request.compareRevision === -1;
    if ((flags & Flag.CompareRevision) !== 0 && !matches) return this.answer(Type.NotSet, record.counter);
    if (this.lie === 'lose a write' && this.lying) return this.answer(Type.Set, record.counter + 1);
    Object.assign(record, { value: request.value, live: true, counter: record.counter + 1 });
    return this.answer(Type.Set, record.counter);
  }

  async get({ key }: { key: string }): Promise<Answer> {
    await sleep(1);
    const record = this.record(key);
    const now = record.live
      ? this.answer(Type.Get, record.counter, record.value)
      : this.answer(Type.DoesNotExist, record.counter);
    const lying = this.lie === 'read the past' && this.lying;
    const told = lying && this.past ? this.past : now;
    this.past ??= now.type === Type.Get ? now : undefined;
    return told;
  }

  async exists({ key }: { key: string }): Promise<Answer> {
    const { live, counter } = this.record(key);
    return this.answer(live ? Type.Exists : Type.DoesNotExist, counter);
  }

  async delete({ key }: { key: string }): Promise<Answer> {
    const record = this.record(key);
    if (!record.live) return this.answer(Type.DoesNotExist, record.counter);
    record.live = false;
    return this.answer(Type.Deleted, record.counter);
  }
}

async function violationWhen(lie: MapKv['lie']): Promise<string | undefined> {
  const server = new MapKv();
  server.lie = lie;
  const workload = new Workload({ seed: 3, thinkMs: 1, keys: 1, epochMs: 60_000 });
  workload.start(Array.from({ length: 5 }, () => server as unknown as KvApi));
  await until('enough operations', HANGS_MS, () => workload.counts.answered > 300);
  await workload.stop();
  return checkRegisters(workload.history).violation;
}

test('the recorded history of an honest server is linearizable', async () => {
  expect(await violationWhen('none')).toBeUndefined();
});

test('a lost acknowledged write is found', async () => {
  expect(await violationWhen('lose a write')).toBeDefined();
});

test('a read of the past is found', async () => {
  expect(await violationWhen('read the past')).toBeDefined();
});
