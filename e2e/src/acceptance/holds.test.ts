import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FloorAnswer, GrpcHolds, type HoldApi, RestHolds } from '../clients/hold-api.ts';
import { Type, ZERO } from '../clients/kv-api.ts';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS, until } from '../harness/processes.ts';

const HOUR_MS = 3_600_000;
const NOTHING_HELD = { type: Type.Get, effectiveFloor: ZERO, liveHolds: 0 };
const at = (l: number) => ({ n: 42, l, c: 7 });

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start({ args: FAST_ELECTIONS });
});

afterAll(async () => {
  await cluster?.close();
});

// The floor is one for the whole cluster, so these tests run one after the other and leave nothing held.
describe.each([
  ['REST', (number: number): HoldApi => new RestHolds(cluster.node(number).url)],
  ['gRPC', (number: number): HoldApi => new GrpcHolds(cluster.node(number).options.grpcAddress)],
] as const)('snapshot holds over %s', (_, open) => {
  let one: HoldApi;
  let two: HoldApi;

  beforeAll(() => {
    one = open(1);
    two = open(2);
  });

  afterAll(() => {
    one.close();
    two.close();
  });

  test('keyvalues:S1 keyvalues:S2 keyvalues:S3 keyvalues:S4 keyvalues:S5 acquired, acquired again, renewed, released', async () => {
    const timestamp = at(1_704_067_200_000);
    const first = await one.acquire('report', timestamp, HOUR_MS);
    expect(first.type).toBe(Type.Set);
    expect(first.holdId).toMatch(/^[0-9a-f]{32}$/);
    expect(first.leaseExpiry.l).toBeGreaterThan(Date.now());
    expect(await two.floor()).toEqual({ type: Type.Get, effectiveFloor: timestamp, liveHolds: 1 });

    const again = await two.acquire('report', timestamp, HOUR_MS);
    expect([again.type, again.holdId]).toEqual([Type.Set, first.holdId]);
    expect(again.leaseExpiry.l).toBeGreaterThanOrEqual(first.leaseExpiry.l);
    const renewed = await one.renew(first.holdId, 2 * HOUR_MS);
    expect(renewed.type).toBe(Type.Set);
    expect(renewed.leaseExpiry.l).toBeGreaterThan(again.leaseExpiry.l);

    expect((await two.release(first.holdId)).type).toBe(Type.Deleted);
    expect(await one.floor()).toEqual(NOTHING_HELD);
    expect((await one.renew(first.holdId, HOUR_MS)).type).toBe(Type.DoesNotExist);
    expect((await two.release(first.holdId)).type).toBe(Type.DoesNotExist);
  });

  test('keyvalues:S6 the floor is the lowest timestamp that is held', async () => {
    const low = await one.acquire('a', at(1000), HOUR_MS);
    const high = await two.acquire('b', at(2000), HOUR_MS);
    expect(await one.floor()).toMatchObject({ effectiveFloor: at(1000), liveHolds: 2 });
    await one.release(low.holdId);
    expect(await two.floor()).toMatchObject({ effectiveFloor: at(2000), liveHolds: 1 });
    await one.release(high.holdId);
  });

  test('keyvalues:S7 a hold whose lease ran out is gone', async () => {
    const { holdId } = await one.acquire('short', at(3000), 200);
    await until('the end of the lease', HANGS_MS, async () => (await two.floor()).liveHolds === 0);
    expect(await one.floor()).toEqual(NOTHING_HELD);
    expect((await one.renew(holdId, HOUR_MS)).type).toBe(Type.DoesNotExist);
    expect((await two.release(holdId)).type).toBe(Type.DoesNotExist);
    const next = await one.acquire('short', at(3000), HOUR_MS);
    expect(next.type).toBe(Type.Set);
    expect(next.holdId).not.toBe(holdId);
    await one.release(next.holdId);
  });

  test('keyvalues:S8 what makes no hold', async () => {
    for (const [holder, timestamp, leaseMs] of [
      ['h', at(1), 0],
      ['h', at(1), -1],
      ['', at(1), 1000],
      ['h', ZERO, 1000],
    ] as const) {
      expect(await one.acquire(holder, timestamp, leaseMs)).toEqual({
        type: Type.InvalidInput,
        holdId: '',
        leaseExpiry: ZERO,
      });
    }
    expect(await one.floor()).toEqual(NOTHING_HELD);
  });
});

test('keyvalues:S12 a hold survives a restart of all nodes', async () => {
  const holds = new GrpcHolds(cluster.node(1).options.grpcAddress);
  const { holdId } = await holds.acquire('s12', at(5000), HOUR_MS);
  await Promise.all(cluster.nodes.map(node => node.kill()));
  for (const node of cluster.nodes) node.start();
  await cluster.ready();
  const floor = await until('the floor', HANGS_MS, async () => {
    const answer = await holds.floor();
    return answer.type === Type.MustRetry ? undefined : answer;
  });
  expect(floor).toEqual({ type: Type.Get, effectiveFloor: at(5000), liveHolds: 1 });
  expect((await holds.release(holdId)).type).toBe(Type.Deleted);
  holds.close();
});

test('keyvalues:S13 a node cut off from its quorum does not tell a floor', async () => {
  const before = new GrpcHolds(cluster.node(2).options.grpcAddress);
  const { holdId } = await before.acquire('s13', at(6000), HOUR_MS);
  for (const number of [1, 2, 3]) {
    const alone = new RestHolds(cluster.node(number).url);
    cluster.network.isolate(number);
    // A leader may answer for as long as its quorum has promised to follow nobody else, but never anything else.
    const told: FloorAnswer[] = [];
    await until(`MustRetry of node ${number}`, HANGS_MS, async () => {
      told.push(await alone.floor());
      return told.at(-1)?.type === Type.MustRetry;
    });
    for (const floor of told.slice(0, -1)) expect(floor).toMatchObject({ type: Type.Get, effectiveFloor: at(6000) });
    cluster.network.heal();
    await cluster.ready();
    alone.close();
  }
  expect((await before.release(holdId)).type).toBe(Type.Deleted);
  before.close();
});
