import { afterAll, beforeAll, describe, test } from 'vitest';
import { BatchKv, GrpcKv } from '../clients/grpc-kv.ts';
import { anyNode, Ephemeral, type KvApi, Persistent } from '../clients/kv-api.ts';
import { RestKv } from '../clients/rest-kv.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { bench } from './case.ts';
import { KEY_VALUE_CASES } from './keyvalue-cases.ts';

const TRANSPORTS = ['REST', 'gRPC', 'gRPC batch stream'] as const;
const DURABILITY = { P: Persistent, E: Ephemeral } as const;
const WORD = { P: 'persistent', E: 'ephemeral' } as const;

let cluster: Cluster;
const apis = new Map<string, KvApi>();

beforeAll(async () => {
  cluster = await Cluster.start({ args: SOON_READY });
  const { nodes } = cluster;
  apis.set('REST', anyNode(nodes.map(node => new RestKv(node.url))));
  apis.set('gRPC', anyNode(nodes.map(node => new GrpcKv(node.options.grpcAddress))));
  apis.set('gRPC batch stream', anyNode(nodes.map(node => new BatchKv(node.options.grpcAddress))));
});

afterAll(async () => {
  for (const api of apis.values()) api.close();
  await cluster?.close();
});

// Every operation of a case goes to another node than the one before it.
describe.each(TRANSPORTS)('over %s, any node', transport => {
  KEY_VALUE_CASES.forEach((acceptance, number) => {
    for (const durability of acceptance.durabilities) {
      test.concurrent(`${acceptance.title} (${WORD[durability]})`, async () => {
        const prefix = `acceptance-${number}-${durability}/${transport}/`;
        await acceptance.run(bench(apis.get(transport) as KvApi, DURABILITY[durability], prefix));
      });
    }
  });
});
