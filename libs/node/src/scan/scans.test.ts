import { ByteReader, ByteWriter, HLC_ZERO } from '@kahuna/base';
import { Durability, ResponseType, type ScanAnswer } from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import { expect, test } from 'vitest';
import type { NodeInternals } from '../internals.ts';
import { Peer } from '../peer.ts';
import { ForwardStatus, ItemKind } from '../peer-frame.ts';
import type { StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import { emptyResult } from '../request.ts';
import { type PartPage, writePartPage } from './scan-frames.ts';
import { Scans } from './scans.ts';

const VALUE = new Uint8Array(1000);
const LIMIT = 10_000;

/** A node whose one partition is led elsewhere. */
class Asker {
  readonly answers: number[] = [];
  private readonly tasks: (() => void)[] = [];
  private readonly out = new ByteWriter();
  private readonly peer = Object.assign(new Peer('b:1'), { nodeId: 2, connected: true });
  private readonly scans: Scans;

  constructor() {
    const table = new RoutingTable(1, 1);
    this.scans = new Scans(
      {
        ...{ accepting: true, settings: { maxGatheredBytes: LIMIT, leaderWaitMs: 1000 } },
        monotonicMs: () => 1,
        soon: (task: () => void) => void this.tasks.push(task),
        routingTable: () => table,
        replica: () => ({ leads: false, leaderNode: 2 }) as unknown as Replica,
        peerByNode: () => this.peer,
        writeTo: () => this.out,
      } as unknown as NodeInternals,
      {} as StateEngine,
    );
  }

  /** Calls are numbered from one, each asks for one part. */
  ask(): void {
    const at = this.answers.push(-1) - 1;
    const query = { kind: 'bucket', prefix: 'a/', readTimestamp: HLC_ZERO, durability: Durability.Persistent } as const;
    this.scans.scan(query, 0, (answer: ScanAnswer) => {
      this.answers[at] = answer.type;
    });
    for (const task of this.tasks.splice(0)) task();
  }

  /** The leader answers a call with so many rows. */
  page(number: number, rows: number, last: boolean): void {
    const page: PartPage = {
      rows: Array.from({ length: rows }, (_, i) => ({
        key: `a/${i}`,
        durability: Durability.Persistent,
        result: { ...emptyResult(ResponseType.Get), value: VALUE },
      })),
      ...{ last, aborted: false, position: undefined, readTimestamp: HLC_ZERO },
    };
    const writer = new ByteWriter();
    writer.varint(number);
    writer.u8(ForwardStatus.Executed);
    writePartPage(writer, page);
    this.scans.takeItem(ItemKind.ScanPage, this.peer, new ByteReader(writer.finish()));
  }
}

const OPEN = -1;

test('invariant 13: calls together gather no more than they may; the one that takes too much is told to try again', () => {
  const asker = new Asker();
  for (let i = 0; i < 3; i++) asker.ask();
  asker.page(1, 4, false);
  asker.page(2, 4, false);
  expect(asker.answers).toEqual([OPEN, OPEN, OPEN]);
  asker.page(3, 4, false);
  expect(asker.answers).toEqual([OPEN, OPEN, ResponseType.MustRetry]);
  // What an answered or refused call held is free again.
  asker.page(1, 1, true);
  asker.ask();
  asker.page(4, 4, true);
  asker.page(2, 1, true);
  expect(asker.answers).toEqual([ResponseType.Get, ResponseType.Get, ResponseType.MustRetry, ResponseType.Get]);
});

test('one call may gather as much as a single answer takes', () => {
  const asker = new Asker();
  asker.ask();
  asker.page(1, 40, false);
  asker.page(1, 1, true);
  expect(asker.answers).toEqual([ResponseType.Get]);
});
