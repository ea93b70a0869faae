import { HLC_ZERO, HybridClock } from '@kahuna/base';
import { Durability } from '@kahuna/partition';
import { expect, test } from 'vitest';
import type { NodeInternals } from '../internals.ts';
import { ForwardStatus } from '../peer-frame.ts';
import type { EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { PendingRequest } from '../request.ts';
import type { PartRequest } from './scan-frames.ts';
import { ScanSessions } from './scan-sessions.ts';

const REQUEST: PartRequest = {
  shape: { kind: 'space', space: 'a' },
  durability: Durability.Persistent,
  readTimestamp: HLC_ZERO,
  fixTime: false,
  maxRows: 10,
  maxLooked: 0,
} as unknown as PartRequest;

/** A leader whose gate is open, over an engine that answers when a test says so. */
class Leader {
  stopped = false;
  mayServe = true;
  views = 0;
  readonly refused: ForwardStatus[] = [];
  readonly sessions: ScanSessions;
  answerSnapshot: () => void = () => undefined;
  answerScan: () => void = () => undefined;

  constructor(need: 'page' | 'rows') {
    const clock = { monotonicMs: () => 1, wallMs: () => 1 };
    const node = {
      nodeId: 1,
      boot: 1,
      hlc: new HybridClock(1, clock),
      monotonicMs: () => 1,
      failedEngine: () => this.stopped,
    } as unknown as NodeInternals;
    const page: ScanPage = { rows: [], more: true };
    const view = { close: () => this.views-- } as unknown as EngineSnapshot;
    const engine = {
      scan: (_: ScanOptions, done: (error: undefined, page: ScanPage) => void) => {
        this.answerScan = () => done(undefined, page);
      },
      snapshot: (done: (error: undefined, view: EngineSnapshot) => void) => {
        this.views++;
        this.answerSnapshot = () => done(undefined, view);
      },
    } as unknown as StateEngine;
    this.sessions = new ScanSessions(node, engine);
    const from = new Uint8Array(1);
    const scan = { need: () => ({ kind: need, from, to: from, keys: [] }), takePage: () => undefined };
    const leader = this;
    const replica = {
      partitionId: 2,
      get mayServe() {
        return leader.mayServe;
      },
      leads: true,
      machine: { openScan: () => scan },
      accept: (request: PendingRequest) => request.answer(request.task?.run(undefined) as never),
    } as unknown as Replica;
    this.sessions.begin(replica, REQUEST, { page: () => undefined, refused: status => this.refused.push(status) });
  }
}

const ENDS: [string, (leader: Leader) => void][] = [
  ['the node has stopped', leader => Object.assign(leader, { stopped: true })],
  ['nobody wants the scan any more', leader => leader.sessions.abandonAll()],
  [
    'the scan was given up as the node stopped',
    leader => {
      leader.sessions.abandonAll();
      leader.stopped = true;
    },
  ],
];

for (const [what, end] of ENDS) {
  test(`a view of the engine that arrives after its scan is closed: ${what}`, () => {
    const leader = new Leader('rows');
    expect(leader.views).toBe(1);
    end(leader);
    leader.answerSnapshot();
    expect(leader.views).toBe(0);
  });
}

test('a leader that finds itself diverged while it reads shows no page of its state', () => {
  const leader = new Leader('page');
  leader.mayServe = false;
  leader.answerScan();
  expect(leader.refused).toEqual([ForwardStatus.NotLeader]);
  expect(leader.sessions.open).toBe(0);
});
