import { ManualClock } from '@kahuna/base';
import { NOT_KNOWN, ofCell, toCell } from '@kahuna/console/heat-scale';
import type { HeatRow, OperationReport, VitalsRow } from '@kahuna/console/protocol';
import { describe, expect, test } from 'vitest';
import { LoadRecorder } from './load-recorder.ts';
import { LoadTracks } from './load-tracks.ts';
import type { Operations } from './operations.ts';
import { PeerOperations } from './peer-operations.ts';
import { shareWith, takeShared } from './peer-share.ts';
import { ScriptedCluster } from './scripted-node.ts';

const at = (tracks: LoadTracks, name: string, column: number): number | null => ofCell(tracks.cell(name, 10, column));

describe('console:5.9 the scale', () => {
  test('nothing, not known, and rates within six per cent', () => {
    expect([toCell(0), toCell(null), toCell(Number.NaN), toCell(-1)]).toEqual([0, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN]);
    expect([ofCell(0), ofCell(NOT_KNOWN)]).toEqual([0, null]);
    for (const rate of [0.1, 1, 17.3, 880, 12_345, 199_000]) {
      expect(Math.abs((ofCell(toCell(rate)) ?? 0) / rate - 1)).toBeLessThan(0.031);
    }
    expect([toCell(0.001), toCell(1e12)]).toEqual([1, NOT_KNOWN - 1]);
  });
});

describe('console:5.9 loads over time', () => {
  test('what was not measured is not known: before the first column, and in columns that were skipped', () => {
    const tracks = new LoadTracks();
    tracks.append(1000, new Map([['a', 8]]));
    tracks.append(1003, new Map([['a', 2]]));
    expect([999, 1000, 1001, 1002, 1003, 1004].map(column => tracks.cell('a', 10, column))).toEqual([
      NOT_KNOWN,
      toCell(8),
      NOT_KNOWN,
      NOT_KNOWN,
      toCell(2),
      NOT_KNOWN,
    ]);
  });

  test('an hour of ten seconds and twelve hours of minutes; what is older is forgotten', () => {
    const tracks = new LoadTracks();
    for (let column = 600; column < 600 + 6 * 800; column++) tracks.append(column, new Map([['a', column < 700 ? 50 : 10]]));
    expect(at(tracks, 'a', tracks.last - 359)).toBeCloseTo(10, 0);
    expect(at(tracks, 'a', tracks.last - 360)).toBeNull();
    const minute = tracks.newest(60);
    expect(ofCell(tracks.cell('a', 60, minute))).toBeCloseTo(10, 0);
    expect(tracks.cell('a', 60, minute - 719)).not.toBe(NOT_KNOWN);
    expect(tracks.cell('a', 60, minute - 720)).toBe(NOT_KNOWN);
  });

  test('a peer is sent everything, then what is new; both show the same', () => {
    const [here, there] = [new LoadTracks(), new LoadTracks()];
    for (let column = 600; column < 700; column++) here.append(column, new Map([['a', column]]));
    there.receive(JSON.parse(JSON.stringify(here.send(0))));
    for (let column = 700; column < 715; column++) here.append(column, new Map([['a', column]]));
    expect(here.send(here.last)).toBeUndefined();
    there.receive(JSON.parse(JSON.stringify(here.send(699))));
    for (let column = 590; column < 720; column++) expect(there.cell('a', 10, column)).toBe(here.cell('a', 10, column));
    for (let minute = 99; minute <= here.newest(60); minute++) {
      expect(there.cell('a', 60, minute)).toBe(here.cell('a', 60, minute));
    }
  });
});

describe('console:6.3 partitions over time', () => {
  const SECONDS_10 = 10_000;
  const cells = (text: string) => [...Buffer.from(text, 'base64')].map(ofCell);

  /** Two nodes, each with its recorder; `run` lets columns pass in which partitions have this many writes. */
  function stage() {
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 2, 2);
    const recorders = [1, 2].map(() => new LoadRecorder(clock));
    const step = (writes: number): void => {
      for (const p of cluster.partitions) p.writes += writes;
      clock.advance(SECONDS_10);
      recorders.forEach((recorder, i) => {
        recorder.sample(cluster.factsOf(i + 1));
      });
    };
    return { clock, cluster, recorders: recorders as [LoadRecorder, LoadRecorder], step };
  }

  test('each leader notes its own; together they are the whole, and a partition that nobody led is not known', () => {
    const { cluster, recorders, step } = stage();
    const [first, second] = recorders;
    for (let i = 0; i < 4; i++) step(100);
    cluster.elect(3, 0);
    step(100);
    second.take(1, first.shareWith(2) ?? { last: 0, fine: {} });
    const rows = second.heat(2, 10, undefined).map(row => row.v as unknown as HeatRow);
    expect(rows.map(row => row.partitions)).toEqual(Array.from({ length: 4 }, () => '0-3'));
    expect(cells(rows[0]?.writes ?? '').map(rate => rate?.toFixed())).toEqual(['10', '10', '10', '10']);
    expect(cells(rows.at(-1)?.writes ?? '')[3]).toBeNull();
    expect(cells(second.heat(2, 10, 2).map(row => row.v as unknown as HeatRow)[0]?.writes ?? '')).toHaveLength(1);
  });

  test('a node over time, with its peers', () => {
    const { cluster, recorders, step } = stage();
    cluster.member(1).gauges = { cpu: 0.5, logP99: 4 };
    for (let i = 0; i < 3; i++) step(10);
    const [row] = recorders[0].vitals(1, 10).map(each => each.v as unknown as VitalsRow);
    expect(row?.nodeId).toBe(1);
    expect(cells(row?.cpu ?? '').at(-1)).toBeCloseTo(50, -1);
    expect(cells(row?.eventLoopP99Ms ?? '').at(-1)).toBeNull();
    expect(cells(row?.cpu ?? '')).toHaveLength(360);
  });

  test('a process that slept or was started again says nothing of that time', () => {
    const { clock, cluster, recorders, step } = stage();
    step(100);
    step(100);
    const before = recorders[0].version;
    clock.advance(120_000);
    recorders[0].sample(cluster.factsOf(1));
    expect(recorders[0].version).toBe(before);
  });

  test('asking again soon brings what is new only', () => {
    const { clock, recorders, step } = stage();
    const [first] = recorders;
    for (let i = 0; i < 5; i++) step(10);
    expect(first.shareWith(2)?.coarse).toBeDefined();
    clock.advance(1000);
    expect(first.shareWith(2)).toBeUndefined();
    clock.advance(6000);
    expect(first.shareWith(2)?.coarse).toBeDefined();
  });
});

describe('console:6.11 operations of all nodes', () => {
  const report = (operationId: string, change: Partial<OperationReport> = {}): OperationReport => ({
    operationId,
    kind: 'set-key',
    subject: 'a/b',
    durability: 'persistent',
    from: '127.0.0.1',
    state: 'ended',
    progress: null,
    canCancel: false,
    outcome: 'done',
    text: null,
    statusText: null,
    checks: [],
    startedMs: 1,
    endedMs: 2,
    source: 1,
    ...change,
  });
  const journal = (...reports: OperationReport[]) => ({ version: 1, all: () => reports }) as unknown as Operations;

  test('a peer is told the newest ones, then those that run; what a node ran when it was started again is unknown', () => {
    let now = 0;
    const running = report('op-2', { state: 'running', outcome: null, canCancel: true });
    const there = new PeerOperations(journal(report('op-1'), running), () => now);
    const here = new PeerOperations(journal(report('op-0')), () => now);
    here.take(2, 7, 'node-2', there.shareWith(1) ?? []);
    expect(here.all().map(o => [o.operationId, o.state, o.source, o.canCancel])).toEqual([
      ['op-0', 'ended', 1, false],
      ['op-1', 'ended', 2, false],
      ['op-2', 'running', 2, false],
    ]);
    now = 1000;
    expect(there.shareWith(1)?.map(o => o.operationId)).toEqual(['op-2']);
    here.take(2, 8, 'node-2', []);
    expect(here.all().at(-1)).toMatchObject({ operationId: 'op-2', state: 'ended', outcome: 'unknown' });
  });

  test('a peer of another release: what is not as it is here is left out', () => {
    const clock = new ManualClock();
    const loads = new LoadRecorder(clock);
    const operations = new PeerOperations(journal(), () => 0);
    const facts = new ScriptedCluster(clock, 2, 1).factsOf(2);
    for (const shared of [
      undefined,
      7,
      [],
      { loads: 'x', operations: 5 },
      { loads: { last: 1, fine: { a: 1 } }, operations: [{}] },
    ]) {
      takeShared({ ...facts, shared }, loads, operations);
    }
    expect([loads.version, operations.all()]).toEqual([0, []]);
    takeShared(
      { ...facts, shared: shareWith(2, loads, new PeerOperations(journal(report('op-9')), () => 0)) },
      loads,
      operations,
    );
    expect(operations.all().map(o => o.operationId)).toEqual(['op-9']);
  });
});
