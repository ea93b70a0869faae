import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Ephemeral } from '../clients/kv-api.ts';
import { GrpcLocks, type LockApi, RestLocks } from '../clients/lock-api.ts';
import { GrpcSequences, RestSequences, type SequenceApi } from '../clients/sequence-api.ts';
import { Cluster } from '../harness/cluster.ts';
import { sleep } from '../harness/processes.ts';
import type { ServerProcess } from '../harness/server.ts';
import { A, B, expectLock, lockSaid } from './lock-cases.ts';
import { expectEntry, expectIssued, type SequenceBench, sequenceBench } from './sequence-cases.ts';

const TRANSPORTS = ['REST', 'gRPC', 'the batcher'] as const;
type Transport = (typeof TRANSPORTS)[number];

/** One node whose flags a test chooses, and may choose anew for a second start on the same data. */
class Server {
  readonly cluster: Cluster;
  private readonly sequences: Readonly<Record<Transport, SequenceApi>>;
  private readonly locks: Readonly<Record<Transport, LockApi>>;
  private fresh = 0;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    const { url, options } = this.node;
    const { grpcAddress } = options;
    this.sequences = {
      REST: new RestSequences(url),
      gRPC: GrpcSequences.unary(grpcAddress),
      'the batcher': GrpcSequences.inFrames(grpcAddress),
    };
    this.locks = { REST: new RestLocks(url), gRPC: GrpcLocks.unary(grpcAddress), 'the batcher': GrpcLocks.inFrames(grpcAddress) };
  }

  static async start(flags: readonly string[]): Promise<Server> {
    const cluster = await Cluster.prepare({ nodes: 1, breakableNetwork: false });
    const server = new Server(cluster);
    await server.run(flags);
    return server;
  }

  private get node(): ServerProcess {
    return this.cluster.node(1);
  }

  private async run(flags: readonly string[]): Promise<void> {
    this.node.start(flags);
    await this.cluster.ready();
  }

  async restart(flags: readonly string[]): Promise<void> {
    await this.node.stop();
    await this.run(flags);
  }

  bench(transport: Transport): SequenceBench {
    return sequenceBench(this.sequences[transport], `settings-${++this.fresh}`);
  }

  locksOver(transport: Transport): LockApi {
    return this.locks[transport];
  }

  /** Commands of clients that went into the log so far. */
  async durableWrites(): Promise<number> {
    const text = await (await fetch(`${this.node.url}/metrics`)).text();
    const line = /^kahuna_kv_write_entries_total(?:\{[^}]*\})? (\d+)/m.exec(text);
    if (!line) throw new Error('the metrics do not count writes');
    return Number(line[1]);
  }

  async close(): Promise<void> {
    for (const api of [...Object.values(this.sequences), ...Object.values(this.locks)]) api.close();
    await this.cluster.close();
  }
}

describe('few keys and sequences in memory, no lease of blocks', () => {
  let server: Server;

  beforeAll(async () => {
    server = await Server.start([
      ...['--sequencer-idempotency-retention-max', '8', '--sequencer-block-lease', '0'],
      ...['--sequencer-max-sequences-per-actor', '1'],
    ]);
  });

  afterAll(() => server?.close());

  describe.each(TRANSPORTS)('over %s', transport => {
    test('sequences:I10 the newest eight keys are kept', async () => {
      const b = server.bench(transport);
      await b.create();
      for (let i = 0; i < 40; i++) await expectIssued(b.next(`k${i}`), `${i + 1}`);
      await expectIssued(b.next('k39'), '40');
      await expectIssued(b.next('k32'), '33');
      await expectIssued(b.next('k31'), '41');
      await expectIssued(b.next('k0'), '42');
    });

    test('sequences:U14 an update needs no lease of blocks', async () => {
      const b = server.bench(transport);
      await b.create();
      await expectIssued(b.next(), '1');
      await expectEntry(b.api.update(b.name, { currentValue: 10n }), 'Success r2');
      expect(await b.entry()).toMatchObject({ incarnation: 1n });
      await expectIssued(b.next(), '11');
    });

    test('sequences:F9 a sequence that left memory goes on above its mark', async () => {
      const { api, name } = server.bench(transport);
      const names = Array.from({ length: 60 }, (_, i) => `${name}-${i}`);
      for (const each of names) await expectEntry(api.create(each, { blockSize: 100 }), 'Success r0');
      const issued = new Map(names.map(each => [each, [] as bigint[]]));
      for (let round = 0; round < 4; round++) {
        for (const [each, values] of issued) {
          const { start } = await api.next(each);
          values.push(start);
        }
      }
      for (const values of issued.values()) {
        for (let i = 1; i < values.length; i++) expect(values[i]).toBeGreaterThan(values[i - 1] as bigint);
      }
      // At most eight blocks stay: most sequences lost theirs between two calls, and then a call begins a new one.
      const evicted = [...issued.values()].filter(values => values.join() === '1,101,201,301');
      expect(evicted.length).toBeGreaterThan(40);
    });
  });

  test('sequences:N14 sequences:I16 after a restart with another block size and without a limit of keys', async () => {
    const own = server.bench('gRPC');
    const plain = server.bench('gRPC');
    await own.create({ blockSize: 50 });
    await plain.create();
    for (const b of [own, plain]) await expectIssued(b.next(), '1');
    expect((await plain.entry()).currentValue).toBe(1000n);
    await server.restart(['--sequencer-block-size', '10', '--sequencer-idempotency-retention-max', '0']);
    await expectIssued(own.next(), '51');
    expect((await own.entry()).currentValue).toBe(100n);
    for (let i = 1; i <= 10; i++) await expectIssued(plain.next(), `${1000 + i}`);
    expect((await plain.entry()).currentValue).toBe(1010n);
    await expectIssued(plain.next(), '1011');
    expect((await plain.entry()).currentValue).toBe(1020n);

    for (const transport of TRANSPORTS) {
      const b = server.bench(transport);
      await b.create();
      const keys = Array.from({ length: 1000 }, (_, i) => `key ${i}`);
      await Promise.all(keys.map(key => b.next(key)));
      const first = await b.next('key 0');
      await expectIssued(b.next('key 0'), `${first.start}`);
      expect(first.start).toBeLessThanOrEqual(1000n);
      await expectIssued(b.next(), '1001');
    }
  });
});

describe('keys and idle ephemeral locks stay in memory for a second', () => {
  /** Who waited for one would wait for longer than a test may take. */
  const BLOCK_LEASE_MS = 3_600_000;
  let server: Server;

  beforeAll(async () => {
    server = await Server.start([
      ...['--sequencer-idempotency-retention-ttl', '1', '--cache-entry-ttl', '1'],
      ...['--sequencer-block-lease', String(BLOCK_LEASE_MS / 1000)],
    ]);
  });

  afterAll(() => server?.close());

  describe.each(TRANSPORTS)('over %s', transport => {
    test('sequences:I11 a key that is older is forgotten', async () => {
      const b = server.bench(transport);
      await b.create();
      await expectIssued(b.next('k'), '1');
      await sleep(2000);
      await expectIssued(b.next('k'), '2');
    });

    test('sequences:N9 durable writes: one for each value with blocks of one, one for all of a block', async () => {
      for (const [blockSize, writes] of [
        [1, 5],
        [undefined, 1],
      ] as const) {
        const b = server.bench(transport);
        await b.create(blockSize === undefined ? {} : { blockSize });
        const before = await server.durableWrites();
        for (let i = 1; i <= 5; i++) await expectIssued(b.next(), `${i}`);
        expect((await server.durableWrites()) - before).toBe(writes);
      }
    });

    test('sequences:U15 an update waits for no lease of a block', async () => {
      const b = server.bench(transport);
      await b.create();
      await expectIssued(b.next(), '1');
      await expectEntry(b.api.update(b.name, { currentValue: 100n }), 'Success r2');
      await expectIssued(b.next(), '101');
    });
  });

  test('locks:F12 locks:F13 free ephemeral locks leave memory, and no token falls; held ones stay', async () => {
    const api = server.locksOver('the batcher');
    // One key space: all of them in one partition, with one floor.
    const names = Array.from({ length: 10_000 }, (_, i) => `evicted/${i}`);
    const use = async (resource: string): Promise<bigint> => {
      const grant = await api.acquire(resource, A, 600_000, Ephemeral);
      expect(lockSaid(grant)).toMatch(/^Locked/);
      await expectLock(api.unlock(resource, A, Ephemeral), 'Unlocked');
      return grant.token;
    };
    await expectLock(api.acquire('evicted/held', A, 600_000, Ephemeral), 'Locked f0');
    for (let token = 0n; token < 5n; token++) expect(await use('evicted/busy')).toBe(token);
    const had = new Map<string, bigint>();
    for (let i = 0; i < names.length; i += 500) {
      await Promise.all(names.slice(i, i + 500).map(async name => void had.set(name, await use(name))));
    }
    await sleep(1500);
    // A pass runs every 500 operations and takes 100 locks with it. A name that nobody has: asking for it keeps none of them in use.
    for (let i = 0; i < 110; i++) {
      await Promise.all(Array.from({ length: 500 }, () => api.info('evicted/nobody', Ephemeral)));
    }
    await expectLock(api.acquire('evicted/held', B, 1000, Ephemeral), 'Busy');
    expect(await use('evicted/busy')).toBeGreaterThan(4n);
    for (const name of names.filter((_, i) => i % 100 === 0)) expect(await use(name)).toBeGreaterThan(had.get(name) as bigint);
    // The floor stands above what left memory: also a name that nobody ever used begins there.
    expect(await use('evicted/new')).toBeGreaterThan(4n);
  });
});
