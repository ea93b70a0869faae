import type { FaultMix } from '../faults.ts';
import type { SHAPES } from '../run.ts';
import { CALM_NETWORK } from '../world/network.ts';

/** One exact replacement in one source file; the old text must stand there once, so that a fault fails loudly when the code moves on. */
export interface Edit {
  /** Relative to `libs/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A mistake that somebody could make in the production code. */
export interface PlantedFault {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Trouble that this mistake needs to show; the rest of the mix is the seed's. */
  readonly focus?: Partial<FaultMix>;
  /** How the seed's plan is bent towards it. */
  readonly shape?: keyof typeof SHAPES;
  /** Only this finding counts: the code under test must notice by itself. */
  readonly finding?: RegExp;
}

const GROUP = 'raft/src/group.ts';
const RAFT_STATE = 'raft/src/replica-state.ts';
const OUTPUT = 'raft/src/output.ts';
const ELECTION = 'raft/src/election.ts';
const FOLLOWING = 'raft/src/following.ts';
const LEADERSHIP = 'raft/src/leadership.ts';
const REPLICATION = 'raft/src/replication.ts';
const READ_INDEX = 'raft/src/read-index.ts';
const MACHINE = 'partition/src/machine.ts';
const LOG_PIPELINE = 'node/src/host/log-pipeline.ts';
const RECOVERY = 'node/src/host/recovery.ts';
const NODE_CLOCK = 'node/src/host/node-clock.ts';
const IN_FLIGHT = 'node/src/replica/in-flight.ts';
const PROPOSALS = 'node/src/replica/proposals.ts';
const APPLY_PUMP = 'node/src/replica/apply-pump.ts';
const READ_GATE = 'node/src/replica/read-gate.ts';
const TERM_MEMORY = 'node/src/replica/term-memory.ts';
const LEASES = 'node/src/leases.ts';
const PEER = 'node/src/peer.ts';
const LOCKS = 'partition/src/locks.ts';
const KEEPER = 'node/src/state-keeper.ts';
const DISPATCHER = 'node/src/dispatcher.ts';
const HOLDS = 'partition/src/holds.ts';
const WATCH = 'node/src/watch/watch-part.ts';

const NOTHING_ELSE: Partial<FaultMix> = {
  crashes: false,
  powerLoss: false,
  pauses: false,
  suspends: false,
  clockSteps: false,
  isolations: false,
  slowDisks: false,
  diskErrors: false,
  transfers: false,
  restartLoops: false,
  network: CALM_NETWORK,
};
const STALLS: Partial<FaultMix> = { isolations: true, pauses: true, everyMs: 150 };
const ISOLATIONS: Partial<FaultMix> = { isolations: true, everyMs: 400 };
const DEAFNESS: Partial<FaultMix> = { deafLeaders: true, ...NOTHING_ELSE, everyMs: 300 };
/** Longer than any lease, with nothing that would tell the others earlier. */
const PAUSES: Partial<FaultMix> = { ...NOTHING_ELSE, pauses: true, everyMs: 300 };
const QUICK_CRASHES: Partial<FaultMix> = { ...NOTHING_ELSE, crashes: true, everyMs: 500 };
const TRANSFERS: Partial<FaultMix> = { ...NOTHING_ELSE, transfers: true, everyMs: 300 };
/** Answers are under way for so long that much may happen meanwhile. */
const SLOW_LINKS = { ...CALM_NETWORK, delayMinMs: 0.1, delayMeanMs: 20, breakChance: 0.005 };
const CRASHES: Partial<FaultMix> = { crashes: true, powerLoss: true, everyMs: 400 };

function fault(name: string, file: string, from: string, to: string, focus?: Partial<FaultMix>): PlantedFault {
  return { name, edits: [{ file, from, to }], ...(focus === undefined ? {} : { focus }) };
}

/** A fault that only clients of locks and sequences see. */
function service(...what: Parameters<typeof fault>): PlantedFault {
  return { ...fault(...what), shape: 'services' };
}

/** A fault that only those see who read the past or watch. */
function past(...what: Parameters<typeof fault>): PlantedFault {
  return { ...fault(...what), shape: 'past' };
}

/** What a later term has passed waits on: otherwise the first entry of that term gives nearly everything back that terms could be confused about. */
const KEEPS_LOST: Edit = {
  file: IN_FLIGHT,
  from: 'if (term <= this.decidedTerm) return NONE;',
  to: 'if (term > 0) return NONE;',
};

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  // ---- elections
  fault(
    'votes twice in a term',
    ELECTION,
    'state.vote === message.from || (state.vote === 0 && state.leaderId === 0 && this.isUpToDate(message))',
    'this.isUpToDate(message)',
    CRASHES,
  ),
  fault(
    'grants a vote of a higher term without adopting the term',
    GROUP,
    '    if (message.term > state.term) {\n      // A granted',
    `    if (message.type === MessageType.Vote && message.term > state.term && election.isUpToDate(message)) {
      this.output.onceDurable({ ...message, type: MessageType.VoteResponse, from: message.to, to: message.from });
      return;
    }
    if (message.term > state.term) {\n      // A granted`,
    CRASHES,
  ),
  fault(
    'forgets its term on restart',
    RAFT_STATE,
    'this.term = options.hardState.term;',
    'this.term = Math.max(options.startTerm, options.entries.at(-1)?.term ?? 0);',
    CRASHES,
  ),
  fault(
    'votes for a candidate with an older log',
    ELECTION,
    'return message.logTerm > lastTerm || (message.logTerm === lastTerm && message.index >= lastIndex);',
    'return message.logTerm >= 0 || lastIndex + lastTerm < 0;',
    CRASHES,
  ),
  fault(
    'sends its vote before it is durable',
    ELECTION,
    'this.output.onceDurable(this.output.message(MessageType.VoteResponse',
    'this.output.atOnce(this.output.message(MessageType.VoteResponse',
    CRASHES,
  ),
  fault(
    'asks for votes before its own is durable',
    ELECTION,
    'this.output.onceDurable(this.question(MessageType.Vote, to, this.state.term, force))',
    'this.output.atOnce(this.question(MessageType.Vote, to, this.state.term, force))',
    CRASHES,
  ),
  fault(
    'wins with one vote too few',
    ELECTION,
    'return hasQuorum(this.state.configuration, member => this.votes.get(member.replicaId) === true);',
    'return [...this.votes.values()].filter(granted => granted).length * 2 >= this.state.configuration.voters.length - 1;',
    CRASHES,
  ),
  // ---- replication and commit
  fault(
    'commits an entry of an older term by counting',
    LEADERSHIP,
    'if (index <= state.commitIndex || log.termAt(index) !== state.term) return;',
    'if (index <= state.commitIndex) return;',
    CRASHES,
  ),
  fault(
    'commits without a quorum',
    LEADERSHIP,
    'const index = this.peers.quorumValue(matchOf);',
    'const index = this.peers.self.match;',
  ),
  fault(
    "counts the leader's own copy before it is durable",
    LEADERSHIP,
    'this.uncommittedBytes += data.length + ENTRY_OVERHEAD_BYTES;\n    this.replication.wake();',
    'this.uncommittedBytes += data.length + ENTRY_OVERHEAD_BYTES;\n    this.peers.self.match = entry.index;\n    this.replication.wake();',
  ),
  fault(
    'acknowledges entries before they are durable',
    OUTPUT,
    'this.promises.push(\n        this.message(MessageType.AppendResponse',
    'this.appends.push(\n        this.message(MessageType.AppendResponse',
  ),
  fault(
    'keeps entries that contradict the leader',
    FOLLOWING,
    'if (log.termAt(entry.index) !== entry.term) break;',
    'if (log.termAt(entry.index) === undefined) break;',
    CRASHES,
  ),
  {
    name: 'truncates committed entries',
    focus: { crashes: true, isolations: true, everyMs: 150, network: SLOW_LINKS },
    edits: [
      // Where an append ends, the log does, however old the one and however certain the other is.
      { file: FOLLOWING, from: 'if (last <= commitIndex) {', to: 'if (last <= log.startIndex) {' },
      {
        file: FOLLOWING,
        from: 'const skip = Math.max(0, commitIndex - message.index);',
        to: 'const skip = Math.max(0, log.startIndex - message.index);',
      },
      {
        file: FOLLOWING,
        from: '  takeEntries(state, entries, skip);',
        to: '  if (last < log.lastIndex) {\n    log.truncateFrom(last + 1);\n    state.history.truncateFrom(last + 1);\n  }\n  takeEntries(state, entries, skip);',
      },
    ],
  },
  fault('nextIndex never moves back', REPLICATION, 'peer.becomeProbe(agreement + 1);', 'peer.becomeProbe(peer.next);', CRASHES),
  fault(
    'hands a committed entry out twice',
    OUTPUT,
    'state.log.slice(state.handedIndex + 1, state.commitIndex)',
    'state.log.slice(state.handedIndex, state.commitIndex)',
  ),
  fault(
    'skips an entry at apply',
    OUTPUT,
    'state.log.slice(state.handedIndex + 1, state.commitIndex)',
    'state.log.slice(state.handedIndex + 2, state.commitIndex)',
  ),
  // ---- reads
  fault(
    'confirms a ReadIndex without a quorum',
    READ_INDEX,
    'if (this.peers.decidesAlone) this.output.confirmRead',
    "if (this.state.role === 'leader') this.output.confirmRead",
    DEAFNESS,
  ),
  fault(
    'counts a lease from the answer instead of the sending',
    PEER,
    'this.answeredMonotonic = entry.monotonic;\n      this.answeredWall = entry.wall;',
    'this.answeredMonotonic = monotonic;\n      this.answeredWall = wall;',
    DEAFNESS,
  ),
  fault(
    'elects while a promise holds',
    LEASES,
    'return leader !== 0 && now < (this.node.peerByNode(leader)?.promisedUntil ?? 0);',
    'return false;',
    DEAFNESS,
  ),
  fault('keeps its lease while it hands leadership over', LEASES, 'if (group.leaseForfeited) return false;', '', DEAFNESS),
  fault(
    'does not look at the clock again before a lease read',
    LEASES,
    'replica.leaseTerm === group.term && monotonic < replica.leaseMonotonicUntil && wall < replica.leaseWallUntil',
    'replica.leaseTerm === group.term',
    STALLS,
  ),
  {
    name: 'lets a timer end its lease, which a paused process does not hear',
    focus: PAUSES,
    edits: [
      {
        file: LEASES,
        from: 'if (replica.leaseTerm === group.term && monotonic < replica.leaseMonotonicUntil && wall < replica.leaseWallUntil) return true;',
        to: 'if (replica.leaseTerm === group.term) return true;',
      },
      {
        file: LEASES,
        from: '    replica.leaseTerm = group.term;',
        to: '    replica.leaseTerm = group.term;\n    this.node.after(remaining, () => (replica.leaseTerm = 0));',
      },
    ],
  },
  fault(
    'sends a request again without saying that it is a repeat',
    DISPATCHER,
    'if (request.isWrite) request.repeat = true;',
    'request.repeat = false;',
    { ...STALLS, crashes: true },
  ),
  fault(
    'proposes a repeat without looking for the first attempt',
    PROPOSALS,
    'if (request.repeat && !this.mayPropose(request, batch)) continue;',
    '',
    { ...STALLS, crashes: true },
  ),
  fault('takes a duplicated frame twice', PEER, '|| header.number <= this.framesTaken) return false;', ') return false;', {
    network: { delayMinMs: 0.5, delayMeanMs: 1, breakChance: 0, lossChance: 0, duplicateChance: 0.05, reorderChance: 0.05 },
  }),
  {
    ...fault(
      'answers the successor of the process that asked',
      DISPATCHER,
      'return this.peer.connected && this.peer.boot === request.boot;',
      'return this.peer.connected;',
      QUICK_CRASHES,
    ),
    shape: 'sluggish',
  },
  {
    name: "takes another leader's entry for its own",
    edits: [{ file: IN_FLIGHT, from: 'if (proposal.term === term) return proposal;', to: 'return proposal;' }, KEEPS_LOST],
    focus: STALLS,
  },
  {
    name: 'answers a lost proposal with the result of what took its place',
    edits: [
      {
        file: PROPOSALS,
        from: 'if (mine.term === term && results !== undefined) {',
        to: 'if (results !== undefined && mine.requests.length === results.length) {',
      },
      KEEPS_LOST,
    ],
    focus: ISOLATIONS,
  },
  // ---- disks
  fault(
    'ignores an fsync error',
    LOG_PIPELINE,
    'this.log.append(write.records, undefined, error => {\n      if (error !== undefined) {',
    "this.log.append(write.records, undefined, error => {\n      if (error !== undefined && error.name === '') {",
    { diskErrors: true, everyMs: 400 },
  ),
  {
    ...fault(
      'compacts above what the engine holds durably',
      KEEPER,
      'Math.min(replica.durableIndex, group.lastIndex',
      'Math.min(replica.machine.appliedIndex, group.lastIndex',
      CRASHES,
    ),
    shape: 'tight',
  },
  fault(
    'takes a written state for a durable one',
    KEEPER,
    'this.engine.sync(error => {',
    'this.engine.getMany([], error => {',
    CRASHES,
  ),
  fault(
    'restarts the log behind a state that is not durable',
    RECOVERY,
    'engine.sync(error => {\n      if (error !== undefined) done(error, []);',
    'engine.getMany([], error => {\n      if (error !== undefined) done(error, []);',
    { ...CRASHES, slowDisks: true },
  ),
  fault(
    'applies again after a restart',
    RECOVERY,
    'appliedIndex: installing ? begin.index : Math.max(machine.appliedIndex, begin.index),',
    'appliedIndex: begin.index,',
    CRASHES,
  ),
  // ---- snapshots
  fault(
    'ends a snapshot before its tail',
    'node/src/snapshot/snapshot-source.ts',
    'done(undefined, encodeRows(page.rows), this.interval >= this.extent.length);',
    'done(undefined, encodeRows(page.rows), this.interval >= 1 || page.more);',
    { ...CRASHES, isolations: true },
  ),
  {
    name: 'applies again what an installed snapshot holds',
    focus: { ...CRASHES, isolations: true },
    edits: [
      // It is said to end where the engine was durable last; the view it is read from is later.
      {
        file: 'node/src/snapshot/snapshots.ts',
        from: '        index: state.appliedIndex,\n        term: state.appliedTerm,',
        to: '        index: replica.durableIndex,\n        term: replica.group.termAt(replica.durableIndex) ?? 0,',
      },
      {
        file: 'node/src/snapshot/snapshots.ts',
        from: 'machine.restore(metaRow);',
        to: 'machine.restore(metaRow);\n    machine.state.appliedIndex = head.index;\n    machine.state.appliedTerm = head.term;',
      },
      // What would stop the node before anybody could see it.
      {
        file: MACHINE,
        from: "assert(compareHlc(batch.stamp, this.state.lastStamp) > 0, 'P3: stamps grow with the log index');",
        to: '',
      },
    ],
  },
  // ---- comparison of replicas (invariant 5)
  {
    ...fault(
      'evaluates an entry differently on one replica',
      APPLY_PUMP,
      'replica.writeCount += results.length;',
      'replica.writeCount += results.length;\n      if (replica.replicaId === 1002 && entry.index % 40 === 0) machine.state.checksum ^= 1;',
    ),
    shape: 'unwatched',
    finding: /is not what a quorum has/,
  },
  // ---- locks and sequences
  service(
    'begins tokens anew under another leader',
    LOCKS,
    'const token = (lock?.token ?? moment.tokenFloor) + 1;',
    'const token = lock !== undefined && lock.term > 0 && lock.term < moment.term ? 0 : (lock?.token ?? -1) + 1;',
    CRASHES,
  ),
  service(
    'takes the token back of a lock that is released',
    LOCKS,
    'owner: undefined, expires: HLC_ZERO, term: 0, token: lock.token,',
    'owner: undefined, expires: HLC_ZERO, term: 0, token: Math.max(0, lock.token - 1),',
  ),
  service(
    'takes a lease for over before it is',
    LOCKS,
    'return lock.expires.l + allowance < moment.now.l;',
    'return lock.expires.l + allowance < moment.now.l + 400;',
    { ...NOTHING_ELSE, everyMs: 1000 },
  ),
  service(
    'keeps blocks of values over a loss of leadership',
    TERM_MEMORY,
    'this.sequencer?.drop();\n    this.sequencer = undefined;',
    '',
    {
      ...NOTHING_ELSE,
      transfers: true,
      everyMs: 200,
    },
  ),
  service(
    'issues values while leadership is not confirmed',
    READ_GATE,
    'else this.replica.readCount++;\n    if (leased) {',
    "else this.replica.readCount++;\n    if (leased || request.operation.kind === 'sequence-reserve') {",
    DEAFNESS,
  ),
  service(
    'tells its clock while that is ahead, after a restart',
    NODE_CLOCK,
    '(this.isAhead ? HLC_ZERO : this.node.hlc.current())',
    'this.node.hlc.current()',
    { ...NOTHING_ELSE, crashes: true, everyMs: 700 },
  ),
  service(
    'forgets idempotency keys with its memory',
    'partition/src/sequences.ts',
    'writer.varint(live.replays.size);\n  for (const [key, replay] of live.replays) {',
    'writer.varint(0);\n  for (const [key, replay] of []) {',
    CRASHES,
  ),
  // ---- clocks and leases
  fault(
    'asks for a bound ahead of its own clock, so that restarts add up',
    'base/src/hlc.ts',
    'Math.max(Math.floor(this.clock.wallMs()), this.heardL) + CLOCK_BOUND_AHEAD_MS',
    'Math.max(Math.floor(this.clock.wallMs()), this.l) + CLOCK_BOUND_AHEAD_MS',
    { ...NOTHING_ELSE, restartLoops: true, everyMs: 1000 },
  ),
  {
    ...fault(
      'votes within a promise because it follows nobody any more',
      LEASES,
      'replica.votesBoundUntil = Math.max(replica.votesBoundUntil, peer.promisedUntil);',
      '',
      // A vote in the few milliseconds that an answer is under way: one seed in ninety sees it.
      { ...DEAFNESS, pauses: true, everyMs: 100, network: { ...SLOW_LINKS, delayMeanMs: 40 } },
    ),
    shape: 'brisk',
  },
  // ---- forwards
  fault(
    'takes a refusal to read for an absence',
    DISPATCHER,
    'if (request.isWrite) request.repeat = true;\n      this.park(request);',
    'if (request.isWrite) request.repeat = true;\n      else {\n        const never = { n: 0, l: 0, c: 0 };\n        const times = { expires: never, lastUsed: never, lastModified: never };\n        request.answer({ type: ResponseType.DoesNotExist, revision: -1, value: null, ...times, state: 0, route: undefined });\n        continue;\n      }\n      this.park(request);',
    STALLS,
  ),
  past(
    'loses the time of a read on the way to the leader',
    'node/src/peer-frame.ts',
    'return { kind, key, revision, readTimestamp: readClientHlc(reader), durability };',
    'return { kind, key, revision, readTimestamp: { ...readClientHlc(reader), l: 0, c: 0, n: 0 }, durability };',
  ),
  // ---- reads of the past, and what holds keep
  past(
    'reads the past before later stamps are ruled out',
    READ_GATE,
    'if (time !== undefined && (this.times.waitsForClock(request) || !this.isSettled(request, time))) return;',
    'if (time !== undefined && this.times.waitsForClock(request)) return;',
    TRANSFERS,
  ),
  past(
    'reads a bucket before later stamps are ruled out',
    'node/src/scan/scan-sessions.ts',
    "{ kind: 'get', key: '', revision: -1, readTimestamp: time, durability },",
    "{ kind: 'get', key: '', revision: -1, readTimestamp: { n: 0, l: 0, c: 0 }, durability },",
    TRANSFERS,
  ),
  past(
    'shows a hold the history of another one',
    HOLDS,
    'for (const { timestamp } of state.holds) if (compareHlc(timestamp, ceiling) < 0) ceiling = timestamp;',
    'const { timestamp = ceiling } = state.holds.at(-1) ?? {};\n  if (compareHlc(timestamp, ceiling) < 0) ceiling = timestamp;',
  ),
  past(
    'grants a hold on history that is gone',
    HOLDS,
    'if (compareHlc(timestamp, state.ceiling) < 0) return { state, answer: result(ResponseType.Aborted, 0) };',
    '',
    { ...TRANSFERS, network: SLOW_LINKS },
  ),
  past(
    'finds nothing where history is gone',
    'partition/src/history-reads.ts',
    "case 'pruned':\n        return result(ResponseType.Aborted, 0);",
    "case 'pruned':\n        return miss(-1);",
  ),
  // ---- watches
  past(
    'tells again what a watch was told on a node that was ahead',
    WATCH,
    'return comparePlaces(change.place, this.after) > 0 && change.revision >= this.fromRevision;',
    'return change.revision >= this.fromRevision;',
    ISOLATIONS,
  ),
  past(
    'loses what was applied while history was read',
    WATCH,
    'for (const event of this.buffer) {',
    'for (const event of this.buffer.slice(1)) {',
  ),
  past(
    'resumes a watch at the present',
    WATCH,
    'this.after = start.places.get(feed.partitionId) ?? this.after;',
    'this.after = placeAt(feed.stamp);',
  ),
  past(
    'counts what waits to be taken as told',
    WATCH,
    'if (this.queue.length > 0 || this.parts.length === 0) return undefined;',
    'if (this.parts.length === 0) return undefined;',
  ),
  {
    name: 'goes on with a watch whose history is gone',
    shape: 'past',
    edits: [
      {
        file: WATCH,
        from: 'if (this.placed && !this.initial && comparePlaces(this.after, placeAt(machine.prunedFloor)) < 0) {',
        to: 'if (this.placed && !this.initial && comparePlaces(this.after, placeAt(HLC_ZERO)) < 0) {',
      },
      { file: WATCH, from: 'if (round.pruned) {', to: 'if (round.pruned && this.watch.isClosed) {' },
    ],
  },
  past(
    'does not tell those who watch that a snapshot replaced the state',
    'partition/src/machine.ts',
    'this.observer?.replaced();',
    '',
    { ...NOTHING_ELSE, isolations: true, everyMs: 500 },
  ),
  past(
    'tells an expiry that was put off',
    'node/src/watch/watch-expiries.ts',
    'first !== undefined && this.current.get(first.key) !== first;',
    'first !== undefined && this.current.get(first.key) === undefined;',
  ),
];
