import { assert, type LogIndex, ownBytes, type Term } from '@kahuna/base';
import { NO_ENTRIES } from './message.ts';
import type { Output } from './output.ts';
import type { ReplicaState } from './replica-state.ts';
import { type Entry, type Message, MessageType } from './types.ts';

/**
 * What a follower does with the messages of the leader of its term.
 *
 * F1 Entries are taken only behind an entry that both logs share (Raft §5.3); what contradicts them goes, and never anything
 *    committed (Raft §5.4.3).
 * F2 The commit index is taken over only as far as the log is known to be the leader's.
 * F3 An acknowledgement promises a durable copy; a refusal and the answer to a heartbeat promise nothing and leave at once.
 */
export function takeAppend(state: ReplicaState, output: Output, message: Message): void {
  const { log, commitIndex } = state;
  const { entries } = message;
  const last = message.index + entries.length;
  if (last <= commitIndex) {
    output.acknowledge(message.from, commitIndex);
    return;
  }
  // What is committed is the same here and at the leader (Raft §5.4.3), so the check may begin there.
  const skip = Math.max(0, commitIndex - message.index);
  const before = message.index + skip;
  const termBefore = skip === 0 ? message.logTerm : (entries[skip - 1] as Entry).term;
  if (log.termAt(before) !== termBefore) {
    assert(skip === 0, 'a committed entry never changes');
    const hint = log.agreementAtMost(before, message.logTerm);
    assert(hint !== undefined, 'the log agrees with every leader at its start');
    refuseAppend(state, output, message, hint, log.termAt(hint) as Term);
    return;
  }
  takeEntries(state, entries, skip);
  const commit = message.commit < last ? message.commit : last;
  if (commit > commitIndex) state.commitTo(commit);
  output.acknowledge(message.from, last);
}

/** Appends what is new of `entries` from position `skip` on; entries of ours that differ go first (Raft §5.3). */
function takeEntries(state: ReplicaState, entries: readonly Entry[], skip: number): void {
  const { log, history } = state;
  let i = skip;
  while (i < entries.length) {
    const entry = entries[i] as Entry;
    if (log.termAt(entry.index) !== entry.term) break;
    i++;
  }
  if (i === entries.length) return;
  state.dirty = true;
  const first = entries[i] as Entry;
  if (first.index <= log.lastIndex) {
    assert(first.index > state.commitIndex, 'committed entries are never truncated');
    log.truncateFrom(first.index);
    history.truncateFrom(first.index);
  }
  for (; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    // Its frame may hold those of many groups: the log of one that is quiet would keep them all.
    const data = ownBytes(entry.data);
    const own = data === entry.data ? entry : { ...entry, data };
    history.append(own);
    log.append(own);
  }
}

/** `hint`, `hintTerm`: where the logs may agree. Our term in it also tells a leader of an earlier one that it was deposed. */
export function refuseAppend(state: ReplicaState, output: Output, refused: Message, hint: LogIndex, hintTerm: Term): void {
  const { from, index } = refused;
  output.atOnce(output.message(MessageType.AppendResponse, from, hint, hintTerm, state.commitIndex, NO_ENTRIES, true, index));
}

export function takeHeartbeat(state: ReplicaState, output: Output, message: Message): void {
  const { from, commit, context } = message;
  // The leader caps the commit index at what we acknowledged. Beyond our log: we lost what we promised, and must not guess.
  if (commit > state.commitIndex && commit <= state.log.lastIndex) state.commitTo(commit);
  // Needs no write: it says "no newer term yet", and what could break that, our vote for one, waits for the disk by itself.
  output.atOnce(output.message(MessageType.HeartbeatResponse, from, 0, 0, state.commitIndex, NO_ENTRIES, false, context));
}
