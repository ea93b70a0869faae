import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Persistent } from '../clients/kv-api.ts';
import { http, RestKv } from '../clients/rest-kv.ts';
import { anySequenceNode, GrpcSequences, RestSequences, type SequenceApi } from '../clients/sequence-api.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { expectSaid } from './case.ts';
import { expectEntry, expectIssued, SEQUENCE_CASES, sequenceBench } from './sequence-cases.ts';

const TRANSPORTS = ['REST', 'gRPC', 'the batcher'] as const;

describe.each([1, 3])('sequences on %i node(s), any of them', nodes => {
  let cluster: Cluster;
  const apis = new Map<string, SequenceApi>();

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes, breakableNetwork: false, args: SOON_READY });
    apis.set('REST', anySequenceNode(cluster.nodes.map(node => new RestSequences(node.url))));
    const addresses = cluster.nodes.map(node => node.options.grpcAddress);
    apis.set('gRPC', anySequenceNode(addresses.map(GrpcSequences.unary)));
    apis.set('the batcher', anySequenceNode(addresses.map(GrpcSequences.inFrames)));
  });

  afterAll(async () => {
    for (const api of apis.values()) api.close();
    await cluster?.close();
  });

  describe.each(TRANSPORTS)('over %s', transport => {
    SEQUENCE_CASES.forEach((acceptance, number) => {
      test.concurrent(acceptance.title, async () => {
        await acceptance.run(sequenceBench(apis.get(transport) as SequenceApi, `case-${number}/${transport}/`));
      });
    });
  });

  if (nodes > 1) {
    test('sequences:N10 64 clients over all nodes and transports: every value once, each client in order', async () => {
      const ways = [...apis.values()];
      await (ways[0] as SequenceApi).create('n10');
      const clients = Array.from({ length: 64 }, async (_, number) => {
        const api = ways[number % ways.length] as SequenceApi;
        const mine: bigint[] = [];
        for (let i = 0; i < 200; i++) {
          const answer = await api.next('n10');
          expect(answer.type).toBe(0);
          mine.push(answer.start);
        }
        return mine;
      });
      const all = await Promise.all(clients);
      for (const mine of all) expect(mine.every((value, i) => i === 0 || value > (mine[i - 1] as bigint))).toBe(true);
      const values = all.flat();
      expect(new Set(values).size).toBe(12_800);
      expect(values.every(value => value >= 1n)).toBe(true);
    });
  }

  test('sequences:C13 durability on the wire: 0 is refused by gRPC, may be left out on REST, and may be a word there', async () => {
    await expectEntry((apis.get('gRPC') as SequenceApi).create('c13/grpc', { durability: 0 }), 'InvalidInput');
    for (const [name, durability] of [
      ['c13/absent', {}],
      ['c13/word', { durability: 'Persistent' }],
    ] as const) {
      const body = JSON.stringify({ name, ...durability });
      const answer = await http(`${cluster.node(1).url}/v1/sequences/create`, { body });
      expect(JSON.parse(answer.text)).toMatchObject({ type: 0, revision: 0 });
    }
  });

  test('sequences:C17 the key of a sequence is nobody else’s', async () => {
    const sequences = apis.get('gRPC') as SequenceApi;
    const keys = new RestKv(cluster.node(1).url);
    await sequences.create('c17');
    const key = '__kahuna:sequences:c17';
    await expectSaid(keys.get({ key, durability: Persistent }), 'InvalidInput');
    await expectSaid(keys.set({ key, value: Buffer.from('9'), durability: Persistent }), 'InvalidInput');
    await expectSaid(keys.delete({ key, durability: Persistent }), 'InvalidInput');
    await expectIssued(sequences.next('c17'), '1');
    keys.close();
  });
});
