import { ByteReader, ByteWriter, HLC_ZERO, HybridClock } from '@kahuna/base';
import { Durability, type OperationResult, ResponseType } from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { LatencyHistogram } from './latency.ts';
import { Meters } from './meters.ts';
import { Peer } from './peer.ts';
import { ForwardStatus, ItemKind, readHlc, readOperation, writeResult } from './peer-frame.ts';
import type { Replica } from './replica.ts';
import { emptyResult, type PendingRequest } from './request.ts';

const PARTITION = 2;
const LEADER_MS = 50;
const OUTCOME_MS = 100;
const MAX_REQUESTS = 6;

/** What another node has been sent and may answer, late or never. */
interface Sent {
  readonly to: number;
  readonly number: number;
  readonly isWrite: boolean;
  readonly repeat: boolean;
}

/** Node 1 with one partition, led by itself, by node 2, by node 3, or by nobody. */
class World {
  now = 1;
  leader = 0;
  accepting = true;
  inSubmit = false;
  readonly answers = new Map<number, number>();
  readonly sent: Sent[] = [];
  readonly accepted: PendingRequest[] = [];
  /** By token: an attempt left whose outcome this node was not told. */
  private readonly unsure = new Map<number, Set<number>>();
  private readonly peers = [2, 3].map(nodeId => Object.assign(new Peer(`${nodeId}:1`), { nodeId, connected: true, boot: 1 }));
  private readonly writers = new Map<number, ByteWriter>();
  private readonly dispatcher: Dispatcher;
  private tokens = 0;

  constructor() {
    const clock = { monotonicMs: () => this.now, wallMs: () => this.now };
    const world = this;
    const replica = {
      get leads() {
        return world.leader === 1;
      },
      get leaderNode() {
        return world.leader;
      },
      accept: (request: PendingRequest) => this.accepted.push(request),
    } as unknown as Replica;
    const table = new RoutingTable(1, 1);
    const host: DispatchHost = {
      ...{ nodeId: 1, boot: 1, clock, hlc: new HybridClock(1, clock), meters: new Meters() },
      routingTable: () => table,
      replica: () => replica,
      peerByNode: nodeId => this.peers[nodeId - 2],
      writeTo: peer => this.writerOf(peer.nodeId),
      scheduleFlush: () => undefined,
      get accepting() {
        return world.accepting;
      },
    };
    const limits = { leaderMs: LEADER_MS, outcomeMs: OUTCOME_MS, maxRequests: MAX_REQUESTS };
    this.dispatcher = new Dispatcher(host, limits, new LatencyHistogram(), new LatencyHistogram());
  }

  private writerOf(nodeId: number): ByteWriter {
    const writer = this.writers.get(nodeId) ?? new ByteWriter();
    this.writers.set(nodeId, writer);
    return writer;
  }

  get waiting(): number {
    return this.dispatcher.waiting;
  }

  get asked(): number {
    return this.tokens;
  }

  submit(isWrite: boolean, chain = 0): void {
    const token = this.tokens++;
    const base = { key: 'a/b', durability: Durability.Persistent } as const;
    const sink = {
      complete: (told: number, _result: OperationResult) => {
        expect(this.inSubmit).toBe(false);
        expect(told).toBe(token);
        this.answers.set(token, (this.answers.get(token) ?? 0) + 1);
        // Whoever is answered may ask again at once.
        if (chain > 0) this.submit(isWrite, chain - 1);
      },
    };
    this.inSubmit = true;
    if (isWrite) this.dispatcher.submit({ kind: 'delete', ...base }, sink, token, 0);
    else this.dispatcher.submit({ kind: 'get', ...base, revision: -1, readTimestamp: HLC_ZERO }, sink, token, 0);
    this.inSubmit = false;
    this.flush();
  }

  /** What was written to peers leaves. */
  flush(): void {
    this.dispatcher.completeDeferred();
    for (const [to, writer] of this.writers) {
      const reader = new ByteReader(writer.finish());
      while (reader.remaining > 0) {
        expect(reader.u8()).toBe(ItemKind.Forward);
        const number = reader.varint();
        reader.varint();
        const repeat = reader.u8() === 1;
        readHlc(reader);
        const isWrite = readOperation(reader).kind === 'delete';
        this.checkRepeat(number, isWrite, repeat);
        this.sent.push({ to, number, isWrite, repeat });
      }
    }
  }

  /** D2: while nobody has said that an earlier attempt came to nothing, the next one says that it is a repeat. */
  private checkRepeat(number: number, isWrite: boolean, repeat: boolean): void {
    const before = this.unsure.get(number) ?? new Set();
    if (isWrite && before.size > 0) expect(repeat).toBe(true);
    this.unsure.set(number, new Set([...before, this.sent.length]));
  }

  /** Another node answers one of the attempts that it was sent. */
  answer(which: number, status: ForwardStatus): void {
    if (this.sent.length === 0) return;
    const attempt = which % this.sent.length;
    const { number } = this.sent[attempt] as Sent;
    const writer = new ByteWriter();
    writer.varint(number);
    writer.u8(status);
    if (status === ForwardStatus.Executed) writeResult(writer, emptyResult(ResponseType.Deleted));
    // Only the latest attempt being refused says that nothing is under way any more.
    if (status === ForwardStatus.NotLeader) this.unsure.get(number)?.delete(attempt);
    this.dispatcher.takeForwardAnswer(new ByteReader(writer.finish()));
    this.flush();
  }

  /** This node's replica decides, or gives back, what it has accepted. */
  decide(status: ForwardStatus): void {
    for (const request of this.accepted.splice(0)) {
      if (status === ForwardStatus.Executed) request.answer(emptyResult(ResponseType.Deleted));
      else request.refuse(status);
    }
    this.flush();
  }

  lead(nodeId: number): void {
    this.leader = nodeId;
    this.dispatcher.leaderChanged(PARTITION);
    this.flush();
  }

  link(nodeId: number, up: boolean): void {
    const peer = this.peers[nodeId - 2] as Peer;
    peer.connected = up;
    if (!up) this.dispatcher.linkLost(nodeId);
    this.flush();
  }

  pass(ms: number): void {
    this.now += ms;
    this.dispatcher.tick(this.now);
    this.flush();
  }

  stop(): void {
    this.accepting = false;
    this.decide(ForwardStatus.NotLeader);
    this.dispatcher.refuseAll();
  }
}

type Step = (world: World) => void;
const status = fc.constantFrom(...Object.values(ForwardStatus));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.boolean(), fc.nat(2)).map(
      ([isWrite, chain]): Step =>
        w =>
          w.submit(isWrite, chain),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.nat(9), status).map(
      ([which, s]): Step =>
        w =>
          w.answer(which, s),
    ),
  },
  {
    weight: 2,
    arbitrary: status.map(
      (s): Step =>
        w =>
          w.decide(s),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.nat(3).map(
      (nodeId): Step =>
        w =>
          w.lead(nodeId),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(2, 3), fc.boolean()).map(
      ([id, up]): Step =>
        w =>
          w.link(id, up),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 60 }).map(
      (ms): Step =>
        w =>
          w.pass(ms),
    ),
  },
);

test('D1, D2: whatever leaders, links and answers do, each request is answered once, and repeats say so', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, stops) => {
      const world = new World();
      for (const act of steps) act(world);
      if (stops) {
        world.stop();
      } else {
        // The replica answers what it has in time; then time alone ends the rest, and what is asked upon that.
        world.lead(0);
        for (let i = 0; i < 10; i++) {
          world.decide(ForwardStatus.Unknown);
          world.pass(OUTCOME_MS);
        }
      }
      expect([...world.answers].filter(([, times]) => times !== 1)).toEqual([]);
      expect(world.answers.size).toBe(world.asked);
      expect(world.waiting).toBe(0);
    }),
    { numRuns: 400 },
  );
});

test('invariant 13: what waits is bounded; requests on top are answered MustRetry, not in the call', () => {
  const world = new World();
  for (let i = 0; i < MAX_REQUESTS; i++) world.submit(true);
  expect([world.waiting, world.answers.size]).toEqual([MAX_REQUESTS, 0]);
  for (let i = 0; i < 3; i++) world.submit(false);
  expect([world.waiting, world.answers.size]).toEqual([MAX_REQUESTS, 3]);
});

test('invariant 13: requests that a leader gives back wait only where there is room', () => {
  const world = new World();
  world.lead(1);
  for (let i = 0; i < 2 * MAX_REQUESTS; i++) world.submit(true);
  expect(world.waiting).toBe(0);
  world.leader = 0;
  world.decide(ForwardStatus.NotLeader);
  expect([world.waiting, world.answers.size]).toEqual([MAX_REQUESTS, MAX_REQUESTS]);
});
