import { ManualClock } from '@kahuna/base';
import { NOT_KNOWN, ofCell, toCell } from '@kahuna/console/heat-scale';
import type { HeatRow, OperationReport, VitalsRow } from '@kahuna/console/protocol';
import { describe, expect, test } from 'vitest';
import { LoadRecorder } from './load-recorder.ts';
import { LoadTracks, RECENTS_AT_ONCE } from './load-tracks.ts';
import type { Operations } from './operations.ts';
import { PeerOperations } from './peer-operations.ts';
import { PeerShare } from './peer-share.ts';
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

  const carry = (from: LoadTracks, to: LoadTracks, pastOf: readonly string[] = []): void =>
    to.receive(JSON.parse(JSON.stringify(from.send(pastOf, from.recentNames()))));

  test('a peer is sent the past, then the newest columns, and may miss some answers; both show the same', () => {
    const [here, there] = [new LoadTracks(), new LoadTracks()];
    for (let column = 600; column < 700; column++) here.append(column, new Map([['a', column]]));
    carry(here, there, here.namesToSend());
    for (let column = 700; column < 715; column++) {
      here.append(column, new Map([['a', column]]));
      if (column % 7 === 0 || column === 714) carry(here, there);
    }
    for (let column = 590; column < 720; column++) expect(there.cell('a', 10, column)).toBe(here.cell('a', 10, column));
    for (let minute = 99; minute <= here.newest(60); minute++) {
      expect(there.cell('a', 60, minute)).toBe(here.cell('a', 60, minute));
    }
  });

  test('the same twice is no news', () => {
    const [here, there] = [new LoadTracks(), new LoadTracks()];
    for (let column = 600; column < 700; column++) here.append(column, new Map([['a', column]]));
    carry(here, there, ['a']);
    const { version } = there;
    carry(here, there, ['a']);
    carry(here, there);
    expect(there.version).toBe(version);
    here.append(700, new Map([['a', 7]]));
    carry(here, there);
    expect(there.version).toBeGreaterThan(version);
  });

  test('tracks that say nothing are not sent', () => {
    const tracks = new LoadTracks();
    const names = Array.from({ length: 40 }, (_, i) => `t${i}`);
    tracks.append(600, new Map(names.map((name, i) => [name, i < 20 ? null : i])));
    expect(tracks.namesToSend()).toEqual(names.slice(20));
    expect(Object.keys(tracks.send([], tracks.recentNames())?.fine ?? {})).toEqual(names.slice(20));
    for (let column = 601; column < 608; column++) tracks.append(column, new Map([['t0', 1]]));
    expect(tracks.recentNames()).toEqual(['t0']);
  });

  test('a peer that began anew because its clock was set back is begun anew with', () => {
    const [here, there] = [new LoadTracks(), new LoadTracks()];
    here.append(1000, new Map([['a', 5]]));
    carry(here, there);
    here.clear();
    here.append(640, new Map([['a', 9]]));
    carry(here, there);
    expect([there.last, at(there, 'a', 640) ?? 0, at(there, 'a', 1000)]).toEqual([640, expect.closeTo(9, 0), null]);
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
    second.take(1, first.shareWith(2, true) ?? { last: 0, fine: {} });
    const rows = second.heat(2, 10).map(row => row.v as unknown as HeatRow);
    expect(rows.map(row => row.partitions)).toEqual(Array.from({ length: 4 }, () => '0-3'));
    expect(cells(rows[0]?.writes ?? '').map(rate => rate?.toFixed())).toEqual(['10', '10', '10', '10']);
    expect(cells(rows.at(-1)?.writes ?? '')[3]).toBeNull();
    expect(cells(second.heat(2, 10, { partitionId: 2 }).map(row => row.v as unknown as HeatRow)[0]?.writes ?? '')).toHaveLength(
      1,
    );
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

  test('what a peer knows of a thousand partitions comes in small pieces, the nodes first, and the newest of each in turns', () => {
    const PARTITIONS = 1000;
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 2, PARTITIONS - 2);
    const [there, here] = [new LoadRecorder(clock), new LoadRecorder(clock)];
    cluster.member(1).gauges = { cpu: 0.5 };
    for (const p of cluster.partitions) cluster.elect(p.partitionId, 1);
    const step = (): void => {
      for (const p of cluster.partitions) p.writes += 1 + (p.partitionId % 50);
      clock.advance(SECONDS_10);
      there.sample(cluster.factsOf(1));
    };
    const piece = (everything = false) => JSON.parse(JSON.stringify(there.shareWith(2, everything) ?? { last: 0, fine: {} }));
    for (let i = 0; i < 60; i++) step();
    // As many answers as there are pieces: one a second, in which time columns end.
    for (let second = 0; second < 50; second++) {
      if (second % 10 === 9) step();
      const told = piece(second === 0);
      expect(JSON.stringify(told).length).toBeLessThan(80_000);
      if (second === 0) expect(Object.keys(told.coarse)).toContain('cpu');
      here.take(1, told);
    }
    // What has ended since comes in turns, within the ten seconds of a column.
    for (let turn = 0; turn < Math.ceil((3 * PARTITIONS + 7) / RECENTS_AT_ONCE); turn++) here.take(1, piece());
    for (const width of [10, 60] as const) expect(here.heat(1, width)).toEqual(there.heat(1, width));
    expect(here.heat(1, 10).at(-1)?.v).toMatchObject({ partitions: '0-999' });
  });

  test('one measure, and some of the busiest partitions, are shown alone', () => {
    const { cluster, recorders, step } = stage();
    for (const p of cluster.partitions) cluster.elect(p.partitionId, 1);
    for (let i = 0; i < 4; i++) {
      cluster.partition(1).reads += 500;
      cluster.partition(3).writes += 400;
      step(1);
    }
    const [row] = recorders[0].heat(1, 10, { metric: 'writes', count: 2 }).map(each => each.v as unknown as HeatRow);
    expect(row?.partitions).toBe('1,3'); // and a cell is exact to three per cent
    expect([row?.reads, row?.entries, cells(row?.writes ?? '').map(rate => rate?.toFixed())]).toEqual([
      undefined,
      undefined,
      ['0', '41'],
    ]);
  });

  test('after the clock was set back there is noting and showing again', () => {
    const { clock, recorders, step } = stage();
    const [first, second] = recorders;
    for (let i = 0; i < 4; i++) step(100);
    second.take(1, first.shareWith(2, true) ?? { last: 0, fine: {} });
    clock.stepWall(-3_600_000);
    step(100);
    second.take(1, first.shareWith(2, false) ?? { last: 0, fine: {} });
    const rows = second.heat(2, 10).map(row => row.v as unknown as HeatRow);
    expect(rows.map(row => row.atMs)).toEqual([clock.wallMs() - SECONDS_10]);
    expect(cells(rows[0]?.writes ?? '').map(rate => rate?.toFixed())).toEqual(['10', '10', '10', '10']);
  });

  test('columns that are yet to come are not taken from a peer', () => {
    const { clock, recorders, step } = stage();
    const [first, second] = recorders;
    for (let i = 0; i < 4; i++) step(100);
    const sent = first.shareWith(2, true) ?? { last: 0, fine: {} };
    const { version } = second;
    second.take(1, { ...sent, last: sent.last + 7 });
    expect(second.version).toBe(version);
    clock.advance(SECONDS_10);
    second.take(1, { ...sent, last: sent.last + 7 });
    expect(second.version).toBeGreaterThan(version);
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
  const remembering = (reports: readonly OperationReport[]) => ({ all: () => reports }) as unknown as Operations;
  const journal = (...reports: OperationReport[]) => remembering(reports);

  test('a peer is told the newest ones, then those that run; what a node ran when it was started again is unknown', () => {
    const clock = new ManualClock();
    const running = report('op-2', { state: 'running', outcome: null, canCancel: true });
    const there = new PeerOperations(journal(report('op-1'), running), clock);
    const here = new PeerOperations(journal(report('op-0')), clock);
    here.take(2, 7, 'node-2', there.share(true));
    expect(here.all().map(o => [o.operationId, o.state, o.source, o.canCancel])).toEqual([
      ['op-0', 'ended', 1, false],
      ['op-1', 'ended', 2, false],
      ['op-2', 'running', 2, false],
    ]);
    expect(there.share(false).map(o => o.operationId)).toEqual(['op-2']);
    here.take(2, 8, 'node-2', []);
    expect(here.all().at(-1)).toMatchObject({ operationId: 'op-2', state: 'ended', outcome: 'unknown' });
  });

  test('the end is told for half a minute; what runs is told and kept however many have ended since', () => {
    const clock = new ManualClock();
    const running = report('op-long', { state: 'running', outcome: null });
    const ended = Array.from({ length: 200 }, (_, i) => report(`op-${i}`, { endedMs: clock.wallMs() }));
    const there = new PeerOperations(journal(running, ...ended), clock);
    const here = new PeerOperations(journal(), clock);
    for (const part of [ended.slice(0, 60), ended.slice(60, 120)]) here.take(2, 7, 'node-2', [running, ...part]);
    clock.advance(29_000);
    here.take(2, 7, 'node-2', there.share(false));
    expect(here.all()).toHaveLength(100);
    expect(here.all().map(o => o.operationId)).toEqual(expect.arrayContaining(['op-long', 'op-150', 'op-199']));
    clock.advance(2000);
    expect(there.share(false).map(o => o.operationId)).toEqual(['op-long']);
  });

  test('every single answer may get lost: the next one brings the end, and everything comes again after a minute', () => {
    const clock = new ManualClock();
    const cluster = new ScriptedCluster(clock, 2, 1);
    const reports = [report('op-1', { state: 'running', outcome: null, endedMs: null })];
    const share = () => {
      const loads = new LoadRecorder(clock);
      const operations = new PeerOperations(remembering(reports), clock);
      return { loads, operations, share: new PeerShare(loads, operations, clock) };
    };
    const there = share();
    for (let i = 0; i < 3; i++) {
      clock.advance(10_000);
      there.loads.sample(cluster.factsOf(2));
    }
    const ask = () => {
      clock.advance(1000);
      const shared = there.share.answer(1);
      return { shared, isEverything: shared.loads?.coarse !== undefined };
    };
    const here = new PeerOperations(journal(), clock);
    const hears = ({ shared }: ReturnType<typeof ask>): void =>
      new PeerShare(new LoadRecorder(clock), here, clock).take({ ...cluster.factsOf(2), shared });
    hears(ask());
    reports[0] = report('op-1', { endedMs: clock.wallMs() });
    ask();
    expect(here.all().map(o => o.state)).toEqual(['running']);
    hears(ask());
    expect(here.all().map(o => [o.state, o.outcome])).toEqual([['ended', 'done']]);

    const answers = Array.from({ length: 60 }, ask);
    expect(answers.filter(answer => answer.isEverything)).toHaveLength(1);
    expect(answers.every(({ shared }) => shared.loads !== undefined)).toBe(true);
    clock.advance(15_000);
    expect(ask().isEverything).toBe(true);
  });

  test('a peer of another release: what is not as it is here is left out', () => {
    const clock = new ManualClock();
    const loads = new LoadRecorder(clock);
    const operations = new PeerOperations(journal(), clock);
    const share = new PeerShare(loads, operations, clock);
    const facts = new ScriptedCluster(clock, 2, 1).factsOf(2);
    for (const shared of [
      undefined,
      7,
      [],
      { loads: 'x', operations: 5 },
      { loads: { last: 1, fine: { a: 1 } }, operations: [{}] },
    ]) {
      share.take({ ...facts, shared });
    }
    expect([loads.version, operations.all()]).toEqual([0, []]);
    const there = new PeerShare(loads, new PeerOperations(journal(report('op-9')), clock), clock);
    share.take({ ...facts, shared: there.answer(2) });
    expect(operations.all().map(o => o.operationId)).toEqual(['op-9']);
  });
});
