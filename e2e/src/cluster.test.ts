import { Rng } from '@kahuna/base';
import { clusterMessages as c, routingMessages as r } from '@kahuna/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectRead, expectSaid } from './acceptance/case.ts';
import { BatchKv, GrpcClient, GrpcKv } from './clients/grpc-kv.ts';
import { type KvApi, Persistent, Type } from './clients/kv-api.ts';
import { RestLocks } from './clients/lock-api.ts';
import { partitionOf } from './clients/placement.ts';
import { http, putText, RestKv } from './clients/rest-kv.ts';
import { RestSequences } from './clients/sequence-api.ts';
import { Cluster } from './harness/cluster.ts';

let cluster: Cluster;
let rest: RestKv[];

beforeAll(async () => {
  cluster = await Cluster.start();
  rest = cluster.nodes.map(node => new RestKv(node.url));
});

afterAll(async () => {
  for (const api of rest ?? []) api.close();
  await cluster?.close();
});

/** What `ask` comes to while every node names the same leaders before and after: hints of an election ago were right when they were given. */
async function underTheSameLeaders<T>(ask: () => Promise<T>): Promise<T> {
  const named = async (): Promise<readonly string[]> => {
    const views = await Promise.all(cluster.nodes.map(node => cluster.routing(node)));
    return views.map(({ leaders }) => JSON.stringify(leaders));
  };
  for (;;) {
    const before = await named();
    const outcome = await ask();
    if (new Set([...before, ...(await named())]).size === 1) return outcome;
  }
}

describe('operations:2 three nodes from one flag set each', () => {
  test('every node answers roster version 1 with three voters, sorted by endpoint', async () => {
    for (const node of cluster.nodes) {
      const view = await cluster.membership(node);
      expect(view.membershipVersion).toBe(1);
      expect(view.members.map(member => [member.role, member.joinedVersion])).toEqual(Array(3).fill(['Voter', 1]));
      expect(view.members.map(member => member.nodeId).sort()).toEqual([1, 2, 3]);
      expect(view.members.map(member => member.endpoint)).toEqual(view.members.map(member => member.endpoint).sort());
      expect([view.localRole, view.initialized]).toEqual(['Voter', true]);
    }
  });

  test('gRPC tells the same roster', async () => {
    const client = new GrpcClient(cluster.node(2).options.grpcAddress);
    const answer = await client.call('/Cluster/GetMembership', c.GrpcGetMembershipRequest, c.GrpcGetMembershipResponse, {});
    const view = await cluster.membership(cluster.node(2));
    expect(Number(answer.MembershipVersion)).toBe(view.membershipVersion);
    expect(answer.Members.map(member => member.Endpoint)).toEqual(view.members.map(member => member.endpoint));
    expect([answer.LocalRole, answer.Initialized]).toEqual([1, true]);
    client.close();
  });

  test('every node is healthy', async () => {
    for (const node of cluster.nodes) {
      expect(await node.health()).toEqual({
        status: 200,
        body: { ready: true, initialized: true, localRole: 'Voter', hostedPartitions: 3, fatalFault: null },
      });
    }
  });

  test('what one node was told every other one answers, over every transport', async () => {
    const readers = cluster.nodes.flatMap((node): KvApi[] => [
      new RestKv(node.url),
      new GrpcKv(node.options.grpcAddress),
      new BatchKv(node.options.grpcAddress),
    ]);
    for (const [number, writer] of rest.entries()) {
      for (let i = 0; i < 6; i++) {
        const key = `space-${i}/from-${number}`;
        await expectSaid(putText(writer, key, `${number}.${i}`), 'Set r0');
        for (const reader of readers) await expectRead(reader.get({ key, durability: Persistent }), `Get r0 "${number}.${i}"`);
      }
    }
    for (const reader of readers) reader.close();
  });
});

describe('routing', () => {
  test('routing:2 metadata: pool 3, offset 2, three leaders with advertised URLs', async () => {
    const urls = cluster.nodes.map(node => node.url);
    for (const node of cluster.nodes) {
      const view = await cluster.routing(node);
      expect(view).toMatchObject({
        initialized: true,
        schemaVersion: 1,
        hashAlgorithm: 'kahuna.placement-group-jump-xxh32-v1',
        prefixSeparator: '/',
        groupSeparator: '|',
        hashPoolSize: 3,
        hashPartitionOffset: 2,
        sequenceStorageKeyFormat: '__kahuna:sequences:{0}',
        reservedKeyPrefix: '__kahuna:',
        localEndpoint: node.url,
        coherent: true,
        keySpaces: [],
      });
      expect(view.leaders.map(leader => leader.partitionId)).toEqual([2, 3, 4]);
      for (const leader of view.leaders) expect(urls).toContain(leader.endpoint);
    }
  });

  test('metadata over gRPC says the same', async () => {
    const client = new GrpcClient(cluster.node(3).options.grpcAddress);
    const answer = await client.call(
      '/Cluster/GetRoutingMetadata',
      r.GrpcGetRoutingMetadataRequest,
      r.GrpcGetRoutingMetadataResponse,
      {},
    );
    const view = await cluster.routing(cluster.node(3));
    expect(answer.Leaders.map(leader => ({ partitionId: leader.PartitionId, endpoint: leader.Endpoint }))).toEqual(view.leaders);
    expect([answer.HashPoolSize, answer.HashPartitionOffset, answer.LocalEndpoint]).toEqual([3, 2, view.localEndpoint]);
    client.close();
  });

  test('?keySpace= filters to one space, also an unknown one', async () => {
    const answer = await http(`${cluster.node(1).url}/v1/cluster/routing?keySpace=unknown`);
    const view = JSON.parse(answer.text);
    expect(view.keySpaces).toEqual([{ keySpace: 'unknown', routingMode: 'Hash', ranges: [] }]);
    expect(view.leaders).toHaveLength(3);
  });

  /** Partition by key for a pool of 3: routing §3.2. */
  const vectors: readonly (readonly [string, number])[] = [
    ['a', 3],
    ['abc', 4],
    ['my-config', 3],
    ['orders/42', 3],
    ['jepsen/register/4', 4],
    ['services/auth/instance-1', 3],
    ['users|eu/1', 4],
    ['users/a|b', 4],
    ['/leading', 4],
    ['|leading', 4],
    ['/', 4],
    ['trailing/', 2],
    ['a/b/c/d', 4],
    ['a//b', 3],
    ['a|b|c/d', 3],
    ['ünïcödé/ключ', 4],
    ['😀/k', 4],
    ['x y/ z', 4],
    ['orders/43', 3],
    ['services/auth/instance-2', 3],
    ['users/1', 4],
    ['users|eu/2', 4],
    ['users|us/profile/9', 4],
    ['bench:0', 3],
    ['bench:9999', 4],
    ['jobs/email', 4],
    ['tenant-7|orders/2024/0001', 4],
    ['tenant-7|invoices/2024/0001', 4],
    ['some-random-key-0123456789', 4],
    ['locks/tasks/123', 3],
  ];

  test.each(vectors)('routing:1 the key %s lies in partition %i, and the hint says so', async (key, partitionId) => {
    const { answers, leader } = await underTheSameLeaders(async () => ({
      answers: await Promise.all(rest.map(api => api.get({ key, durability: Persistent }))),
      leader: await cluster.leaderOf(partitionId),
    }));
    for (const [i, answer] of answers.entries()) {
      expect(answer.route).toMatchObject({ partitionId, generation: 0 });
      expect(answer.route?.endpoint).toBe(cluster.node(leader).url);
      expect(answer.route?.provenance).toBe(leader === i + 1 ? 1 : 2);
    }
  });

  test('routing:2 a client that places a thousand random keys by the metadata meets their leaders', async () => {
    const rng = new Rng(7);
    const letters = [...'abcxyz019/|-é😀'];
    const keys = Array.from({ length: 1000 }, () => Array.from({ length: rng.int(1, 12) }, () => rng.pick(letters)).join(''));
    const executed = await underTheSameLeaders(async () => {
      const metadata = await cluster.routing();
      const leaderUrls = new Map(metadata.leaders.map(leader => [leader.partitionId, leader.endpoint]));
      let executed = 0;
      for (let from = 0; from < keys.length; from += 100) {
        const answers = await Promise.all(
          keys.slice(from, from + 100).map(async key => {
            const partition = partitionOf(key, metadata);
            const node = cluster.nodes.findIndex(candidate => candidate.url === leaderUrls.get(partition));
            const answer = await (rest[node] as RestKv).get({ key, durability: Persistent });
            expect([key, answer.route?.partitionId]).toEqual([key, partition]);
            return answer;
          }),
        );
        executed += answers.filter(answer => answer.route?.provenance === 1).length;
      }
      return executed;
    });
    expect(executed).toBeGreaterThanOrEqual(990);
  });

  /** Locks lie where a key of the same name would, sequences where the key of their record would: routing §3.2, pool of 3. */
  test('routing:1 locks and sequences lie where the vectors say', async () => {
    const locks = cluster.nodes.map(node => new RestLocks(node.url));
    const sequences = cluster.nodes.map(node => new RestSequences(node.url));
    for (const [name, partition] of vectors) {
      for (const api of locks) expect([name, (await api.info(name, Persistent)).partitionId]).toEqual([name, partition]);
    }
    for (const [name, partition] of [
      ['orders', 2],
      ['bench:seq:0', 2],
      ['tenants/1/counter', 2],
      ['a|b', 3],
    ] as const) {
      await sequences[0]?.create(name);
      for (const api of sequences) expect([name, (await api.next(name)).partitionId]).toEqual([name, partition]);
    }
    for (const api of [...locks, ...sequences]) api.close();
  });

  test('rows of a many-call point into a table of distinct hints', async () => {
    const items = ['a', 'abc', 'trailing/', 'orders/42', ''].map(key => ({ key, durability: Persistent }));
    for (const api of rest) {
      const rows = await api.getMany(items);
      expect(rows.map(row => row.route?.partitionId ?? 0)).toEqual([3, 4, 2, 3, 0]);
    }
  });
});

describe('requests from other web pages', () => {
  const body = JSON.stringify({ key: 'origin', value: 'eA==', durability: 1 });

  test('a foreign Origin may not change anything', async () => {
    const { url } = cluster.node(1);
    for (const path of ['/v1/kv/try-set', '/v1/kv/try-delete', '/v1/kv/try-set-many', '/v1/cluster/leave']) {
      const answer = await http(`${url}${path}`, { body, headers: { origin: 'http://evil.example' } });
      expect([path, answer.status]).toEqual([path, 403]);
    }
    await expectRead((rest[0] as RestKv).get({ key: 'origin', durability: Persistent }), 'DoesNotExist r-1');
  });

  test("the node's own origin may, and so may a client that names none", async () => {
    const { url } = cluster.node(1);
    expect((await http(`${url}/v1/kv/try-set`, { body, headers: { origin: url } })).status).toBe(200);
    expect((await http(`${url}/v1/kv/try-set`, { body })).status).toBe(200);
  });
});

test('keyvalues:C15 no answer to any client is ever of type 11', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => putText(rest[i % 3] as RestKv, `c15/${i % 20}`, 'v')));
  expect(answers.every(answer => answer.type === Type.Set)).toBe(true);
});
