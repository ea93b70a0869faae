import { expect, test } from 'vitest';
import { AppendBatch } from './append-batch.ts';
import { member, optionsOf, voters } from './cluster.test-support.ts';
import { NO_ENTRIES } from './message.ts';
import { Output } from './output.ts';
import { ReplicaState } from './replica-state.ts';
import { EntryKind, type Message, MessageType } from './types.ts';

function outputOf(): { state: ReplicaState; output: Output } {
  const state = new ReplicaState(optionsOf(1, voters(1, 2, 3)));
  return { state, output: new Output(state) };
}

function grow(state: ReplicaState, count: number): void {
  for (let i = 0; i < count; i++) {
    state.log.append({ index: state.log.lastIndex + 1, term: state.term, kind: EntryKind.Command, data: new Uint8Array(1) });
  }
  state.dirty = true;
}

function append(output: Output): Message {
  return output.message(MessageType.Append, 2, 0, 0, 0, NO_ENTRIES, false, 0);
}

test('O1: what promises something of ours waits, the rest does not', () => {
  const { output } = outputOf();
  output.onceDurable(output.message(MessageType.VoteResponse, 2, 0, 0, 0, NO_ENTRIES, false, 0));
  output.atOnce(append(output));
  const ready = output.take(undefined);
  expect(ready?.promises.map(m => m.type)).toEqual([MessageType.VoteResponse]);
  expect(ready?.appends.map(m => m.type)).toEqual([MessageType.Append]);
});

test('O2: a leader whose own vote may be lost sends nothing that leaves before it is durable', () => {
  const { output } = outputOf();
  output.ownVoteDurable = false;
  output.asLeader(append(output));
  expect(output.take(undefined)).toMatchObject({ appends: [], promises: [{ type: MessageType.Append }] });
  output.ownVoteDurable = true;
  output.asLeader(append(output));
  expect(output.take(undefined)).toMatchObject({ appends: [{ type: MessageType.Append }], promises: [] });
});

test('O3: a Ready is empty again after it was taken, and what comes later does not show in it', () => {
  const { state, output } = outputOf();
  grow(state, 2);
  state.enterTerm(1, 1);
  state.commitTo(1);
  output.confirmRead({ context: 4, index: 1 });
  output.offerSnapshot(member(3));
  const ready = output.take(undefined);
  const shown = structuredClone(ready);
  expect(state.dirty).toBe(false);
  expect(output.take(undefined)).toBeUndefined();
  grow(state, 1);
  state.enterTerm(2, 0);
  state.commitTo(3);
  output.dropRead(5);
  output.atOnce(append(output));
  expect(ready).toEqual(shown);
  expect(output.take(undefined)).toMatchObject({
    hardState: { term: 2, vote: 0 },
    entries: [{ index: 3 }],
    committed: [{ index: 2 }, { index: 3 }],
    reads: [],
    droppedReads: [5],
    snapshots: [],
  });
});

test('several appends are acknowledged once, by the greatest index, and with the commit index of the time it leaves', () => {
  const { state, output } = outputOf();
  grow(state, 5);
  for (const index of [2, 5, 3]) output.acknowledge(2, index);
  state.commitTo(4);
  expect(output.take(undefined)?.promises).toMatchObject([{ type: MessageType.AppendResponse, to: 2, index: 5, commit: 4 }]);
  output.acknowledge(2, 3);
  expect(output.take(undefined)?.promises).toMatchObject([{ index: 3 }]);
});

test('an acknowledgement to another leader counts anew, and one of an earlier term is not said', () => {
  const { state, output } = outputOf();
  grow(state, 5);
  output.acknowledge(2, 5);
  output.acknowledge(3, 1);
  expect(output.take(undefined)?.promises).toMatchObject([{ to: 3, index: 1 }]);
  output.acknowledge(3, 2);
  output.forgetAcknowledgement();
  expect(output.take(undefined)).toBeUndefined();
});

test('the own write carries the very array that was sent, if it is just those entries', () => {
  const { state, output } = outputOf();
  const batch = new AppendBatch();
  grow(state, 3);
  batch.loadFrom(state.log, 1, 1000);
  expect(output.take(batch)?.entries).toBe(batch.entries);
  grow(state, 1);
  expect(output.take(batch)?.entries).toMatchObject([{ index: 4 }]);
});
