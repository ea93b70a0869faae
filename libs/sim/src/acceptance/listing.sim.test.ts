import { Durability, type ListingAnswer, type ListingQuery, LockResponseType, ResponseType } from '@kahuna/partition';
import { beforeAll, describe, expect, test } from 'vitest';
import { AcceptanceWorld } from './acceptance-world.ts';

/** The listing of locks and sequences (for browsing), asked of a node that leads only a part of the partitions. */

const OWNER = new Uint8Array([1]);

describe('listing', () => {
  let world: AcceptanceWorld;
  beforeAll(() => {
    world = new AcceptanceWorld(31, { poolSize: 4 });
    for (let i = 0; i < 30; i++) {
      const name = `l${String(i).padStart(2, '0')}`;
      acquire(name, Durability.Persistent, 600_000);
      if (i % 10 === 0) acquire(name, Durability.Ephemeral, 600_000);
      const parameters = { initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: undefined };
      world.ask({ kind: 'sequence-create', key: `s${String(i).padStart(2, '0')}`, ...parameters });
    }
  });

  function acquire(name: string, durability: Durability, expiresMs: number): void {
    const answer = world.ask({ kind: 'lock-acquire', key: name, owner: OWNER, expiresMs, durability });
    expect(answer.type).toBe(LockResponseType.Locked);
  }

  function list(query: Partial<ListingQuery>, nodeId = 1): ListingAnswer {
    let answer: ListingAnswer | undefined;
    const node = world.node(nodeId);
    node.process?.deliver(() => {
      const whole: ListingQuery = { kind: 'locks', prefix: '', after: undefined, limit: 200, ...query };
      node.host?.listings.list(whole, 0, result => {
        answer = result;
      });
    });
    world.until(() => answer !== undefined);
    return answer as unknown as ListingAnswer;
  }

  /** Every page to the end. */
  function walk(query: Partial<ListingQuery>): ListingAnswer[] {
    const pages = [list(query)];
    for (let after = pages[0]?.next; after !== undefined; after = pages.at(-1)?.next) pages.push(list({ ...query, after }));
    return pages;
  }

  const numbered = (stem: string): string[] => Array.from({ length: 30 }, (_, i) => `${stem}${String(i).padStart(2, '0')}`);

  test('all locks in the order of their names, whoever is asked', () => {
    for (const nodeId of [1, 2, 3]) {
      const answer = list({}, nodeId);
      expect(answer).toMatchObject({ type: ResponseType.Get, next: undefined, missing: [], sequences: [] });
      expect([...new Set(answer.locks.map(lock => lock.name))]).toEqual(numbered('l'));
      expect(answer.locks).toHaveLength(33);
      expect(answer.locks[0]).toMatchObject({
        name: 'l00',
        durability: Durability.Ephemeral,
        held: true,
        owner: OWNER,
        token: 0,
      });
      expect(answer.locks[1]).toMatchObject({ name: 'l00', durability: Durability.Persistent, held: true });
    }
  });

  test.each([1, 2, 7, 29])('pages of %i', limit => {
    const pages = walk({ limit });
    expect(pages.flatMap(page => page.locks.map(lock => `${lock.name}${lock.durability}`))).toHaveLength(33);
    expect([...new Set(pages.flatMap(page => page.locks.map(lock => lock.name)))]).toEqual(numbered('l'));
    // Both locks of a name stay together.
    for (const page of pages) expect(page.locks.length).toBeLessThanOrEqual(limit + 1);
    expect(walk({ kind: 'sequences', limit }).flatMap(page => page.sequences.map(row => row.entry.name))).toEqual(numbered('s'));
  });

  test('only names with a prefix, only after a name', () => {
    expect(list({ prefix: 'l1' }).locks.map(lock => lock.name)).toEqual(['l10', ...numbered('l').slice(10, 20)]);
    expect(list({ prefix: 'l1', after: 'l17' }).locks.map(lock => lock.name)).toEqual(['l18', 'l19']);
    expect(list({ prefix: 'l1', after: 'l2' }).locks).toEqual([]);
    expect(list({ prefix: 'l1', after: 'a' }).locks).toHaveLength(11);
  });

  test('released, expired and deleted', () => {
    world.ask({ kind: 'lock-release', key: 'l05', owner: OWNER, expiresMs: 0, durability: Durability.Persistent });
    acquire('m', Durability.Persistent, 10);
    world.pass(1000);
    expect(list({ prefix: 'l05' }).locks[0]).toMatchObject({ held: false, owner: null, token: 0 });
    expect(list({ prefix: 'm' }).locks[0]).toMatchObject({ held: false, owner: OWNER, token: 0 });
    world.ask({ kind: 'sequence-delete', key: 's03' });
    expect(list({ kind: 'sequences', prefix: 's0' }).sequences).toHaveLength(9);
    world.pass(1000);
    expect(list({ kind: 'sequences', prefix: 's0', limit: 4 }).sequences.map(row => row.entry.name)).toEqual([
      's00',
      's01',
      's02',
      's04',
    ]);
  });

  test('what is in memory and in the engine shows the present state', () => {
    const reserve = { kind: 'sequence-reserve', key: 's07', count: 1, idempotencyKey: '' } as const;
    world.pass(1000);
    world.ask(reserve);
    expect(list({ kind: 'sequences', prefix: 's07' }).sequences[0]?.entry).toMatchObject({ currentValue: 1000n, revision: 1 });
    world.pass(1000);
    expect(list({ kind: 'sequences', prefix: 's07' }).sequences[0]?.entry).toMatchObject({ currentValue: 1000n, revision: 1 });
  });

  test('console:6.7 the grants of a lock, whoever is asked: all that were noted where it is the only one, else the latest', () => {
    const name = 'zz-grants';
    acquire(name, Durability.Persistent, 60_000);
    const release = { kind: 'lock-release', key: name, owner: OWNER, expiresMs: 0, durability: Durability.Persistent } as const;
    expect(world.ask(release).type).toBe(LockResponseType.Unlocked);
    acquire(name, Durability.Persistent, 30_000);
    for (const nodeId of [1, 2, 3]) {
      const history = list({ prefix: name, limit: 1 }, nodeId).locks[0]?.history;
      expect(history?.grants).toMatchObject([
        { token: 1, owner: OWNER, leaseMs: 30_000, extensions: 0, end: undefined },
        { token: 0, owner: OWNER, leaseMs: 60_000, end: 'released' },
      ]);
      expect(history?.grants[1]?.endMs).toBeLessThanOrEqual(history?.grants[0]?.fromMs ?? 0);
      expect(list({ prefix: 'zz' }, nodeId).locks[0]?.history?.grants).toMatchObject([{ token: 1 }]);
    }
  });

  test('a partition without leader is missing, the others are there', () => {
    const leader = world.leaderOf(2);
    const asked = world.cluster.nodes.find(node => node !== leader)?.id as number;
    world.cluster.network.isolate(leader.endpoint, 'stall', 'both');
    const answer = list({}, asked);
    expect(answer.type).toBe(ResponseType.Get);
    expect(answer.missing).toContain(2);
    world.cluster.network.healAll();
  });
});
