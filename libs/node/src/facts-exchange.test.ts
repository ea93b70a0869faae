import { ByteReader, ByteWriter, DecodeError } from '@kahuna/base';
import { expect, test } from 'vitest';
import { FactsExchange } from './facts-exchange.ts';
import type { NodeInternals } from './internals.ts';
import { Peer } from './peer.ts';
import { ItemKind } from './peer-frame.ts';

/** A node with two peers, one of them connected. */
class Bench {
  readonly writer = new ByteWriter();
  readonly near = new Peer('a:1');
  readonly far = new Peer('b:1');
  readonly exchange: FactsExchange;

  constructor() {
    this.near.nodeId = 2;
    this.near.connected = true;
    this.far.nodeId = 3;
    const node = {
      peers: new Map([
        ['a:1', this.near],
        ['b:1', this.far],
      ]),
      clock: { monotonicMs: () => 1, wallMs: () => 1234.5 },
      writeTo: () => this.writer,
    } as unknown as NodeInternals;
    this.exchange = new FactsExchange(node);
  }

  /** Requests that left since the last look. */
  asked(now: number): number {
    this.exchange.tick(now);
    const frame = this.writer.finish();
    expect([...frame].every(kind => kind === ItemKind.FactsRequest)).toBe(true);
    return frame.length;
  }

  answer(text: string): void {
    const writer = new ByteWriter();
    writer.bytes(new TextEncoder().encode(text));
    this.exchange.takeItem(ItemKind.Facts, this.near, new ByteReader(writer.finish()));
  }
}

const FACTS = { nodeId: 2, partitions: [], peers: [] };

test('peers are asked only while somebody looks, once a second, and only those that are there', () => {
  const bench = new Bench();
  expect(bench.asked(0)).toBe(0);
  const release = bench.exchange.gather();
  const another = bench.exchange.gather();
  expect([bench.asked(10), bench.asked(500), bench.asked(1010)]).toEqual([1, 0, 1]);
  release();
  release();
  expect(bench.asked(2010)).toBe(1);
  another();
  expect(bench.asked(3010)).toBe(0);
});

test('what a peer tells is kept with its instant, and forgotten when nobody looks any more', () => {
  const bench = new Bench();
  const release = bench.exchange.gather();
  bench.answer(JSON.stringify(FACTS));
  expect(bench.exchange.of(2)).toEqual({ facts: FACTS, receivedAtMs: 1234 });
  expect(bench.exchange.of(3)).toBeUndefined();
  release();
  expect(bench.exchange.of(2)).toBeUndefined();
  bench.answer(JSON.stringify(FACTS));
  expect(bench.exchange.of(2)).toBeUndefined();
});

for (const text of ['', '{', 'null', '7', '"facts"', '[]', '{}', '{"partitions":[]}', '{"partitions":{},"peers":[]}']) {
  test(`a view of the cluster does not stumble over what is not facts: ${text}`, () => {
    const bench = new Bench();
    bench.exchange.gather();
    expect(() => bench.answer(text)).toThrow(DecodeError);
    expect(bench.exchange.of(2)).toBeUndefined();
  });
}
