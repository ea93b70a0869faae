import { afterAll, beforeAll, expect, test } from 'vitest';
import { BatchKv } from '../clients/grpc-kv.ts';
import { Ephemeral, Flag, type KvApi, Persistent, Type } from '../clients/kv-api.ts';
import { RestKv } from '../clients/rest-kv.ts';
import { Cluster } from '../harness/cluster.ts';
import { residentBytes } from '../harness/processes.ts';
import { expectRead, expectSaid, said } from './case.ts';

const MIB = 1024 * 1024;
/** What a node keeps of the values of each durability (operations §9). */
const BUDGET_MIB = 256;
/** So many budgets are written; operations:9 wants ten: `npm run soak`. */
const BUDGETS = Number(process.env['KAHUNA_MEMORY_BUDGETS'] ?? 3);
/** What the garbage of one round may come to. */
const ROUND_BYTES = 192 * MIB;
const AT_ONCE = 8;

let cluster: Cluster;
let api: KvApi;

beforeAll(async () => {
  // Nothing here asks what survives a loss of power, and much is written.
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false, args: ['--disable-wal-sync-writes'] });
  api = new BatchKv(cluster.node(1).options.grpcAddress);
});

afterAll(async () => {
  api?.close();
  await cluster?.close();
});

/** A value of a mebibyte that tells which key it belongs to. */
function large(i: number): Buffer {
  const value = Buffer.alloc(MIB, i & 0xff);
  value.writeUInt32LE(i, 0);
  return value;
}

/** Runs for all numbers, some at a time. */
async function each(from: number, to: number, run: (i: number) => Promise<void>): Promise<void> {
  for (let i = from; i < to; i += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, to - i) }, (_, k) => run(i + k)));
  }
}

test('keyvalues:C11 keyvalues:C12 persistent keys beyond the budget answer as if none had ever left memory', async () => {
  const count = BUDGET_MIB + 64;
  const old = { key: 'c11/old', durability: Persistent };
  await expectSaid(api.set({ ...old, value: Buffer.from('first') }), 'Set r0');
  await expectSaid(api.set({ ...old, value: Buffer.from('second') }), 'Set r1');
  await expectRead(api.get(old), 'Get r1 "second"');
  await each(0, count, async i => {
    await expectSaid(api.set({ key: `c12/${i}`, value: large(i), durability: Persistent }), 'Set r0');
  });
  const rest = new RestKv(cluster.node(1).url);
  for (const reader of [api, rest]) {
    await expectRead(reader.get(old), 'Get r1 "second"');
    await expectRead(reader.get({ ...old, revision: 0 }), 'Get r0 "first"');
    await expectSaid(reader.exists(old), 'Exists r1');
  }
  rest.close();
  await each(0, count, async i => {
    const { type, revision, value } = await api.get({ key: `c12/${i}`, durability: Persistent });
    expect([i, type, revision, value?.equals(large(i))]).toEqual([i, Type.Get, 0, true]);
  });
  await expectSaid(api.set({ ...old, value: null, flags: Flag.CompareRevision, compareRevision: 0 }), 'NotSet r1');
  await expectSaid(api.delete(old), 'Deleted r1');
  await expectRead(api.get(old), 'DoesNotExist r1');
  await expectSaid(api.set({ ...old, value: Buffer.from('third') }), 'Set r2');
});

test('keyvalues:C13 operations:9 ephemeral keys beyond the budget: those used lately live on, and memory levels off', async () => {
  const pid = cluster.node(1).pid as number;
  const favourite = { key: 'c13/favourite', durability: Ephemeral };
  await expectSaid(api.set({ ...favourite, value: Buffer.from('kept') }), 'Set r0');
  const resident: number[] = [];
  for (let round = 0; round < BUDGETS; round++) {
    await each(round * BUDGET_MIB, (round + 1) * BUDGET_MIB, async i => {
      await expectSaid(api.set({ key: `c13/${i}`, value: large(i), durability: Ephemeral }), 'Set r0');
      if (i % 16 === 0) await expectRead(api.get(favourite), 'Get r0 "kept"');
    });
    resident.push(residentBytes(pid));
  }
  const written = BUDGETS * BUDGET_MIB;
  let live = 0;
  await each(0, written, async i => {
    const answer = await api.get({ key: `c13/${i}`, durability: Ephemeral });
    if (answer.type === Type.Get) {
      live += 1;
      expect(answer.value?.equals(large(i))).toBe(true);
    } else expect(said(answer)).toBe('DoesNotExist r-1');
    // A quarter of the budget was used last, and a quarter of it is far from being the oldest.
    if (i >= written - BUDGET_MIB / 4) expect([i, answer.type]).toEqual([i, Type.Get]);
  });
  expect(live).toBeLessThanOrEqual(BUDGET_MIB);
  await expectRead(api.get(favourite), 'Get r0 "kept"');
  await expectSaid(api.set({ key: 'c13/0', value: Buffer.from('again'), durability: Ephemeral }), 'Set r0');
  const [, second = 0] = resident;
  expect(Math.max(...resident.slice(2)) - second, `resident after each round: ${resident}`).toBeLessThan(ROUND_BYTES);
});
