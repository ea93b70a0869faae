import { assert, type LogIndex, type NodeId, type ReplicaId, type Term } from '@kahuna/base';
import { ConfigurationHistory } from './configuration.ts';
import { RaftLog } from './log.ts';
import type { Configuration, HardState, RaftOptions, Role } from './types.ts';

/**
 * What a replica has of its group in every role: term and vote, the log, the configurations in it, and how far it is decided.
 *
 * S1 log.startIndex <= appliedIndex <= handedIndex <= commitIndex <= log.lastIndex.
 * S2 Terms never fall, and term and vote change only together with a hard state in the next Ready.
 * S3 Nothing up to commitIndex is ever truncated (asserted where entries of a leader are taken).
 */
export class ReplicaState {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
  readonly log: RaftLog;
  readonly history: ConfigurationHistory;
  role: Role = 'follower';
  term: Term;
  vote: ReplicaId;
  /** 0 = unknown. */
  leaderId: ReplicaId = 0;
  /**
   * Highest index known to be committed. After a restart it begins at appliedIndex and is relearned, so a low value says nothing
   * about what was acknowledged. Never decreases, never beyond lastIndex (asserted in `commitTo`).
   */
  commitIndex: LogIndex;
  /** Last committed entry that a Ready carried. */
  handedIndex: LogIndex;
  appliedIndex: LogIndex;
  /** An input has changed something that the next Ready carries. */
  dirty = false;
  private hardStateChanged = false;

  constructor(options: RaftOptions) {
    this.replicaId = options.replicaId;
    this.nodeId = options.nodeId;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.log = new RaftLog(options.startIndex, options.startTerm, options.entries);
    this.history = new ConfigurationHistory(options.startIndex, options.configuration);
    for (const entry of options.entries) this.history.append(entry);
    this.commitIndex = options.appliedIndex;
    this.handedIndex = options.appliedIndex;
    this.appliedIndex = options.appliedIndex;
    assert(options.replicaId > 0, 'replica ids begin at 1: 0 means none');
    assert(
      options.appliedIndex >= options.startIndex && options.appliedIndex <= this.log.lastIndex,
      'applied entries stand in the log or before its start',
    );
    // The engine is ahead of the log: it had applied what the log lost. The term that stood in the lost hard state was never
    // promised to anyone (promises wait for the disk), so it is adopted anew, without a vote.
    if (this.term < options.startTerm) this.enterTerm(options.startTerm, 0);
    assert(this.term >= this.log.lastTerm, 'no entry is newer than the term');
  }

  /** The configuration in force: the latest in the log, committed or not. */
  get configuration(): Configuration {
    return this.history.current;
  }

  /** `vote`: whom this replica votes for with the same hard state, 0 = nobody yet. */
  enterTerm(term: Term, vote: ReplicaId): void {
    assert(term > this.term, 'terms never fall');
    this.term = term;
    this.castVote(vote);
  }

  castVote(vote: ReplicaId): void {
    this.vote = vote;
    this.hardStateChanged = true;
    this.dirty = true;
  }

  /** For a Ready; undefined if it is as the last one carried it. */
  takeHardState(): HardState | undefined {
    if (!this.hardStateChanged) return undefined;
    this.hardStateChanged = false;
    return { term: this.term, vote: this.vote };
  }

  commitTo(index: LogIndex): void {
    assert(index > this.commitIndex && index <= this.log.lastIndex, 'the commit index grows inside the log');
    this.commitIndex = index;
    this.dirty = true;
  }

  applied(index: LogIndex): void {
    assert(index <= this.handedIndex, 'only what a Ready carried is applied');
    if (index > this.appliedIndex) this.appliedIndex = index;
  }

  /** A snapshot up to (`index`, `term`), beyond the commit index, took the place of the state: the log goes on behind it. */
  restore(index: LogIndex, term: Term, configuration: Configuration): void {
    if (this.log.termAt(index) === term) {
      // The log reaches beyond the snapshot, and what lies behind it may have been acknowledged: it stays, and is written again.
      this.log.compact(index);
      this.log.durableIndex = index;
      this.log.unsavedFrom = index + 1;
      this.history.compact(index);
    } else {
      this.log.reset(index, term);
      this.history.reset(index, configuration);
    }
    this.commitIndex = index;
    this.handedIndex = index;
    this.appliedIndex = index;
    this.dirty = true;
  }

  /** The state is what it was after the entry at `index`: what is committed behind that is handed out again. */
  rewind(index: LogIndex): void {
    assert(index >= this.log.startIndex && index <= this.log.lastIndex, 'a state is rewound to an entry of the log');
    if (index > this.commitIndex) this.commitTo(index);
    this.handedIndex = index;
    this.appliedIndex = index;
    this.dirty = true;
  }

  /** Forgets entries up to `index`; true if there were any. */
  compact(index: LogIndex): boolean {
    assert(index <= this.appliedIndex, 'only applied entries are compacted');
    if (index <= this.log.startIndex) return false;
    this.log.compact(index);
    this.history.compact(index);
    return true;
  }
}
