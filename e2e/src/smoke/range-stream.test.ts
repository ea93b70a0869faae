import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { Caller, type Message } from './caller.ts';

const ROWS = 50_000;
const ROWS_PER_WRITE = 5000;
const PAGE = 100;
/** The leader dies when so many rows have arrived. */
const KILL_AT = 10_000;

/** The only one of the pool. */
const DATA_PARTITION = 2;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 3, partitions: 1, breakableNetwork: false, args: FAST_ELECTIONS });
});
afterAll(() => cluster.close());

test(`grpc:15 a range stream of ${ROWS} rows brings all of them, once each, although the leader dies in the middle`, async () => {
  const space = 'stream';
  const keys = Array.from({ length: ROWS }, (_, i) => `${space}/${String(i).padStart(6, '0')}`);
  const leader = await cluster.leaderOf(DATA_PARTITION);
  const survivor = cluster.nodes.find((_, i) => i + 1 !== leader);
  const caller = new Caller(survivor?.options.grpcAddress ?? '', credentials.createInsecure());
  try {
    for (let from = 0; from < ROWS; from += ROWS_PER_WRITE) {
      const Items = keys.slice(from, from + ROWS_PER_WRITE).map(Key => ({ Key, Value: Buffer.from('v'), Durability: 1 }));
      const answer = await caller.unary('KeyValuer', 'TrySetManyKeyValue', { Items });
      expect((answer['Items'] as Message[]).every(item => item['Type'] === undefined)).toBe(true);
    }
    const seen: unknown[] = [];
    let killed: Promise<void> | undefined;
    for await (const page of caller.stream('KeyValuer', 'GetByRangeStream', { Prefix: space, Limit: PAGE, Durability: 1 })) {
      for (const item of (page['Items'] as Message[] | undefined) ?? []) seen.push(item['Key']);
      // Whatever is read from here on is not yet on its way: the client's window holds some pages only.
      if (seen.length >= KILL_AT && killed === undefined) {
        killed = cluster.node(leader).kill();
        await killed;
      }
    }
    expect(killed).toBeDefined();
    expect(seen).toEqual(keys);
  } finally {
    caller.close();
  }
});
