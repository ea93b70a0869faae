import { AssertionError, type Hlc, RowBatch } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { del, exists, extend, get, hex, PersistentBench, Replica, set } from '../test/replica.ts';
import {
  type Command,
  type CommandBatch,
  createPartitionMachine,
  decodeMetaRow,
  type FetchedRow,
  HeadCache,
  metaRowKey,
  ResponseType,
} from './index.ts';

let number = 0;

function batchAt(l: number, ...commands: Command[]): CommandBatch {
  const stamp = { n: 1, l, c: 0 };
  const proposals = commands.map(command => ({
    id: { node: 1, boot: 1, number: number++ },
    receipt: { n: 1, l: l - 1, c: 0 },
    command,
  }));
  return { stamp, level: 1, proposals };
}

const configuration = {
  voters: [
    { replicaId: 1, nodeId: 1 },
    { replicaId: 2, nodeId: 7 },
  ],
  outgoing: [{ replicaId: 1, nodeId: 1 }],
  learners: [{ replicaId: 9, nodeId: 3 }],
};

describe('the applied index (P1, P3)', () => {
  test('P1 an entry out of order stops the process', () => {
    const { machine } = new Replica();
    machine.applyEmpty(1, 1, undefined);
    expect(() => machine.applyEmpty(1, 1, undefined)).toThrow(AssertionError);
    expect(() => machine.applyEmpty(3, 1, undefined)).toThrow(AssertionError);
    expect(() => machine.applyEmpty(2, 0, undefined)).toThrow(AssertionError);
  });

  test('P3 a stamp that does not grow stops the process', () => {
    const replica = new Replica();
    replica.apply(batchAt(1000, set('a', '1'), set('a', '2')));
    expect(() => replica.apply(batchAt(1000, set('a', '3')))).toThrow(AssertionError);
  });

  test('command i of a batch carries the stamp plus i', () => {
    const replica = new Replica();
    const results = replica.apply(batchAt(1000, set('a', '1'), set('b', '2')));
    expect(results.map(result => result.lastModified)).toEqual([
      { n: 1, l: 1000, c: 0 },
      { n: 1, l: 1000, c: 1 },
    ]);
    expect(replica.machine.lastStamp).toEqual({ n: 1, l: 1000, c: 1 });
  });
});

describe('which keys a partition takes (P2)', () => {
  test('P2 a key of another bucket is told to retry, written or read, and leaves no trace', () => {
    const replica = new Replica({ partitionId: 2, poolSize: 8 });
    const checksum = replica.machine.checksum;
    expect(replica.apply(batchAt(1000, set('users/1', 'x')))[0]?.type).toBe(ResponseType.MustRetry);
    expect(replica.read(get('users/1'), 2000).type).toBe(ResponseType.MustRetry);
    expect(replica.machine.keyCount).toBe(0);
    expect(replica.machine.checksum).not.toBe(checksum);
    expect(new Replica({ partitionId: 9, poolSize: 8 }).apply(batchAt(1000, set('users/1', 'x')))[0]?.type).toBe(
      ResponseType.Set,
    );
  });

  test('P2 partitions 0 and 1 hold no keys', () => {
    for (const partitionId of [0, 1]) {
      expect(new Replica({ partitionId }).apply(batchAt(1000, set('a', 'x')))[0]?.type).toBe(ResponseType.MustRetry);
    }
  });
});

describe('rows that are not in memory', () => {
  test('keyvalues:C11 an evicted key answers as before', () => {
    const bench = new PersistentBench({ maxEntries: 4 });
    bench.run(set('k', 'a'));
    bench.run(set('k', 'b', { expiresMs: 1000 }));
    const before = bench.run(get('k'));
    bench.replica.flush();
    for (let i = 0; i < 50; i++) bench.run(get(`filler${i}`));
    expect(bench.replica.cache.entries).toBeLessThanOrEqual(4);
    expect(bench.run(get('k'))).toMatchObject({ type: before.type, revision: 1, value: before.value, expires: before.expires });
    expect(bench.run(get('k', { revision: 0 })).type).toBe(ResponseType.Get);
    expect(bench.run(del('k')).revision).toBe(1);
    expect(bench.run(set('k', 'c')).revision).toBe(2);
  });

  test('a never written key is asked for once', () => {
    const { machine } = new Replica();
    const batch = batchAt(1000, set('k', '1'), set('k', '2'));
    const keys = machine.needs(batch);
    expect(keys.length).toBe(1);
    machine.supply(keys.map(key => ({ key, value: undefined })));
    expect(machine.needs(batch)).toEqual([]);
    expect(machine.needs(batchAt(1001, extend('k', 5)))).toBe(machine.needs(batch));
  });

  test('an entry whose heads were not supplied is not applied', () => {
    const { machine } = new Replica();
    const batch = batchAt(1000, set('k', '1'));
    expect(() => machine.apply(1, 1, batch)).toThrow(AssertionError);
    const other = new Replica().machine;
    other.needs(batch);
    expect(() => other.apply(1, 1, batch)).toThrow(AssertionError);
  });

  test('supplied heads stay until the entry is applied, whatever else comes in', () => {
    const replica = new Replica({ maxEntries: 2 });
    const { machine } = replica;
    const batch = batchAt(1000, ...['a', 'b', 'c', 'd', 'e'].map(key => set(key, 'x')));
    machine.supply(replica.engine.fetch({ kind: 'rows', keys: machine.needs(batch) }));
    for (let i = 0; i < 20; i++) replica.read(get(`other${i}`), 1000);
    expect(machine.needs(batch)).toEqual([]);
    expect(machine.apply(1, 1, batch).every(result => result.revision === 0)).toBe(true);
  });

  test('invariant 4: a row that arrives after the key was written, flushed and evicted is not believed', () => {
    const replica = new Replica({ maxEntries: 2 });
    const { engine } = replica;
    replica.apply(batchAt(1000, set('k', 'old')));
    replica.flush();
    replica.restart();
    const asked = replica.machine.read(get('k'), 1000, undefined);
    if (!('kind' in asked) || asked.kind !== 'rows') throw new Error('the row should be asked for');
    const late: FetchedRow[] = engine.fetch(asked);
    replica.apply(batchAt(1001, set('k', 'new')));
    replica.flush();
    for (let i = 0; i < 20; i++) replica.read(get(`other${i}`), 1001);
    const again = replica.machine.read(get('k'), 1001, late);
    expect('kind' in again).toBe(true);
    expect(replica.machine.read(get('k'), 1001, late)).toMatchObject({ kind: 'rows' });
    expect(new TextDecoder().decode(replica.read(get('k'), 1001).value as Uint8Array)).toBe('new');
  });

  test('a flood of unflushed writes leaves room to read', () => {
    const replica = new Replica({ maxEntries: 8 });
    replica.apply(batchAt(1000, set('cold', 'x')));
    replica.flush();
    replica.restart();
    replica.apply(batchAt(1001, ...Array.from({ length: 100 }, (_, i) => set(`k${i}`, 'x'))));
    expect(replica.read(get('cold'), 1001).type).toBe(ResponseType.Get);
  });

  test('a value does not keep the frame it came in alive once it is flushed', () => {
    const replica = new Replica();
    const frame = new Uint8Array(100_000).fill(65);
    replica.apply(batchAt(1000, { ...set('k', null), value: frame.subarray(10, 20) }));
    replica.flush();
    const value = replica.read(get('k'), 1000).value as Uint8Array;
    expect(value.buffer.byteLength).toBeLessThan(frame.length / 10);
    expect(value).toEqual(frame.subarray(10, 20));
  });
});

describe('flush', () => {
  test('a key written once is stored once, an overwritten one moves its old version to history', () => {
    const replica = new Replica();
    replica.apply(batchAt(1000, set('a', '1')));
    replica.flush();
    expect(replica.engine.rows.size).toBe(2);
    replica.apply(batchAt(1001, set('a', '2')));
    replica.flush();
    expect(replica.engine.rows.size).toBe(3);
  });

  test('a head is encoded once per flush, with every version it superseded', () => {
    const { machine, ...replica } = new Replica();
    const batch = batchAt(1000, set('a', '1'), set('a', '2'), set('a', '3'));
    machine.supply(replica.engine.fetch({ kind: 'rows', keys: machine.needs(batch) }));
    machine.apply(1, 1, batch);
    const rows = new RowBatch();
    machine.takeFlush(rows);
    expect(rows.count).toBe(1 + 2 + 1);
  });

  test('nothing new, nothing to flush; an empty entry flushes the group row alone', () => {
    const { machine } = new Replica();
    const rows = new RowBatch();
    expect(machine.takeFlush(rows)).toBeUndefined();
    machine.applyEmpty(1, 1, configuration);
    const flush = machine.takeFlush(rows);
    expect(rows.toArray().map(row => hex(row.key))).toEqual([hex(metaRowKey(2))]);
    expect(() => machine.takeFlush(rows)).toThrow(AssertionError);
    machine.flushed(flush as NonNullable<typeof flush>);
    expect(machine.takeFlush(rows)).toBeUndefined();
  });

  test('what was written while a flush was under way goes with the next one', () => {
    const replica = new Replica();
    replica.apply(batchAt(1000, set('a', '1')));
    replica.beginFlush();
    replica.apply(batchAt(1001, set('a', '2')));
    replica.apply(batchAt(1002, set('a', '3')));
    expect(replica.read(get('a', { revision: 1 }), 1002).type).toBe(ResponseType.Get);
    replica.endFlush();
    for (let revision = 0; revision < 3; revision++) {
      expect(replica.read(get('a', { revision }), 1002)).toMatchObject({ type: ResponseType.Get, revision });
    }
    replica.flush();
    replica.restart();
    for (let revision = 0; revision < 3; revision++) {
      expect(replica.read(exists('a', { revision }), 1002)).toMatchObject({ type: ResponseType.Exists, revision });
    }
  });

  test('invariant 6: a crash before the flush is written loses nothing that the log still has', () => {
    const replica = new Replica();
    const batches = [batchAt(1000, set('a', '1')), batchAt(1001, set('a', '2')), batchAt(1002, del('a'))];
    for (const batch of batches) replica.apply(batch);
    const { checksum } = replica.machine;
    replica.beginFlush();
    replica.restart();
    expect(replica.machine.appliedIndex).toBe(0);
    for (const batch of batches) replica.apply(batch);
    expect(replica.machine.checksum).toBe(checksum);
  });

  test('the group row carries index, term, stamp, checksum, members and key count', () => {
    const replica = new Replica();
    replica.machine.applyEmpty(1, 3, configuration);
    const batch = batchAt(1000, set('a', '1'), set('b', '1'), set('a', '2'));
    replica.machine.supply(replica.engine.fetch({ kind: 'rows', keys: replica.machine.needs(batch) }));
    replica.machine.apply(2, 4, batch);
    replica.flush();
    const row = decodeMetaRow(replica.engine.get(metaRowKey(2)) as Uint8Array);
    expect(row).toMatchObject({
      appliedIndex: 2,
      appliedTerm: 4,
      lastStamp: { n: 1, l: 1000, c: 2 },
      keyCount: 2,
      configuration,
    });
    expect(row.checksum).toBe(replica.machine.checksum);
    replica.restart();
    expect(replica.machine.configuration).toEqual(configuration);
    expect(replica.machine.keyCount).toBe(2);
  });
});

describe('snapshots', () => {
  test('the extent covers every row, and restore begins from the installed rows', () => {
    const source = new Replica({ poolSize: 4, partitionId: 3 });
    source.apply(batchAt(1000, set('abc', '1'), set('a', '2')));
    source.apply(batchAt(1001, set('abc', '3')));
    source.flush();
    const intervals = source.machine.extent().map(({ from, to }) => [hex(from), hex(to)] as const);
    const rows = [...source.engine.rows].filter(([key]) => intervals.some(([from, to]) => key >= from && key < to));
    expect(rows.length).toBe(source.engine.rows.size);

    const target = new Replica({ poolSize: 4, partitionId: 3 });
    target.apply(batchAt(900, set('abc', 'old'), set('a', 'old')));
    target.beginFlush();
    target.engine.rows.clear();
    for (const [key, value] of rows) target.engine.rows.set(key, value);
    target.machine.restore(target.engine.get(metaRowKey(3)) as Uint8Array);
    expect(target.cache.entries).toBe(0);
    expect(target.machine.checksum).toBe(source.machine.checksum);
    for (const key of ['a', 'abc']) expect(target.read(get(key), 2000)).toEqual(source.read(get(key), 2000));
    expect(target.machine.remembered({ node: 1, boot: 1, number: 0 }, { n: 1, l: 900, c: 0 })).toBe('unknown');
  });

  test('forget returns the memory of the partition to the cache', () => {
    const replica = new Replica();
    replica.apply(batchAt(1000, set('a', '1'), set('b', '2')));
    replica.machine.forget();
    expect([replica.cache.entries, replica.cache.bytes]).toEqual([0, 0]);
  });
});

describe('answers by identity (design §5, invariant 15)', () => {
  const receipt: Hlc = { n: 1, l: 999, c: 0 };

  test('an answer is remembered, an id that was surely not applied is told apart from one that may have been', () => {
    const replica = new Replica();
    const batch = batchAt(1000, set('a', '1'));
    const [answer] = replica.apply(batch);
    const { id } = batch.proposals[0] as CommandBatch['proposals'][number];
    expect(replica.machine.remembered(id, receipt)).toBe(answer);
    expect(replica.machine.remembered({ ...id, boot: 2 }, receipt)).toBeUndefined();
    replica.flush();
    replica.restart();
    expect(replica.machine.remembered(id, receipt)).toBe('unknown');
    expect(replica.machine.remembered(id, { n: 1, l: 1000, c: 0 })).toBeUndefined();
  });
});

describe('expiry (keyvalues §9)', () => {
  test('keyvalues:X1 the expiry that hid a key is reported, so that a quorum can confirm its time has come', () => {
    const replica = new Replica();
    replica.apply(batchAt(1000, set('a', '1', { expiresMs: 10 }), set('b', '1'), set('c', '1', { expiresMs: 10 }), del('c')));
    expect(replica.machine.expiredAt(get('a'), 1010)).toBe(0);
    expect(replica.machine.expiredAt(get('a'), 1011)).toBe(1010);
    expect(replica.machine.expiredAt(get('b'), 9999)).toBe(0);
    expect(replica.machine.expiredAt(get('c'), 9999)).toBe(0);
    expect(replica.machine.expiredAt(get('never'), 9999)).toBe(0);
    expect(replica.machine.expiredAt(get('a', { revision: 0 }), 9999)).toBe(0);
  });
});

describe('the state of partitions 0 and 1', () => {
  const member = (name: string, nodeId: number) => ({
    endpoint: `${name}:8082`,
    nodeId,
    name,
    storageId: 2 ** 50 + nodeId,
    clientUrl: '',
    consoleUrl: '',
  });
  const found: Command = { kind: 'found-cluster', clusterId: 'c1', poolSize: 16, members: [member('b', 2), member('a', 1)] };

  test('a cluster is founded once, with its members in order', () => {
    const replica = new Replica({ partitionId: 0 });
    expect(replica.apply(batchAt(1000, found))[0]?.type).toBe(ResponseType.Set);
    expect(replica.machine.system).toMatchObject({ clusterId: 'c1', poolSize: 16, membershipVersion: 1 });
    expect(replica.machine.system?.members.map(({ name, role, joinedVersion }) => [name, role, joinedVersion])).toEqual([
      ['a', 'Voter', 1],
      ['b', 'Voter', 1],
    ]);
    expect(replica.apply(batchAt(1001, { ...found, clusterId: 'c2' }))[0]?.type).toBe(ResponseType.NotSet);
    expect(replica.machine.system?.clusterId).toBe('c1');
  });

  test('a member describes itself, an unknown one has no effect, and all of it survives a restart', () => {
    const replica = new Replica({ partitionId: 0 });
    const describe = {
      kind: 'describe-member' as const,
      endpoint: 'b:8082',
      name: 'bee',
      clientUrl: 'http://b',
      consoleUrl: 'http://b/c',
    };
    expect(replica.apply(batchAt(999, describe))[0]?.type).toBe(ResponseType.NotSet);
    replica.apply(batchAt(1000, found, describe, { ...describe, endpoint: 'x:1' }));
    replica.flush();
    const { system } = replica.machine;
    expect(system?.members[1]).toMatchObject({
      endpoint: 'b:8082',
      name: 'bee',
      clientUrl: 'http://b',
      consoleUrl: 'http://b/c',
      nodeId: 2,
    });
    replica.restart();
    expect(replica.machine.system).toEqual(system);
  });

  test('the range map is founded once, and only in partition 1', () => {
    const replica = new Replica({ partitionId: 1 });
    replica.apply(batchAt(1000, { kind: 'found-range-map' }));
    replica.flush();
    replica.restart();
    expect(replica.machine.meta).toEqual({ mapVersion: 1 });
    expect(replica.apply(batchAt(1001, { kind: 'found-range-map' }))[0]?.type).toBe(ResponseType.NotSet);
    expect(replica.apply(batchAt(1002, found))[0]?.type).toBe(ResponseType.NotSet);
    expect(replica.machine.system).toBeUndefined();
    expect(replica.machine.extent().length).toBe(1);
  });
});

test('a shared cache bounds the records of all partitions together', () => {
  const headCache = new HeadCache({ maxEntries: 16, maxBytes: 2 ** 20 });
  const machines = [0, 1].map(bucket => createPartitionMachine({ partitionId: 2 + bucket, poolSize: 2, headCache }));
  for (let i = 0; i < 200; i++) {
    for (const machine of machines) {
      const need = machine.read(get(`key${i}`), 1000, undefined);
      if ('kind' in need && need.kind === 'rows')
        machine.read(
          get(`key${i}`),
          1000,
          need.keys.map(key => ({ key, value: undefined })),
        );
    }
  }
  expect(headCache.entries).toBeLessThanOrEqual(16);
});
