import { SYSTEM_PARTITION } from '@kahuna/base';
import { decodeMetaRow, metaRowKey } from '@kahuna/partition';
import type { NodeInternals } from '../internals.ts';
import { recoverLog } from '../lost-log.ts';
import type { LogStore, RecoveredGroup, StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { SnapshotTransfers } from '../snapshot/snapshots.ts';
import type { StateKeeper } from '../state-keeper.ts';
import type { NodeClock } from './node-clock.ts';
import type { ReplicaFactory } from './replica-factory.ts';

const STOPPED = 'the node was stopped while it started';

/** The node while it recovers. */
export interface RecoveringNode extends NodeInternals {
  /** Written once the engine has said how many partitions the cluster was founded with. */
  poolSize: number;
  readonly stopping: boolean;
  addReplica(replica: Replica): void;
}

export interface RecoveryRooms {
  readonly log: LogStore;
  readonly engine: StateEngine;
  readonly factory: ReplicaFactory;
  readonly clock: NodeClock;
  readonly snapshots: SnapshotTransfers;
  readonly keeper: StateKeeper;
}

/**
 * Brings back what log and engine hold of a former life.
 *
 * Y1 The state never ends before its log begins, but for a replica into which a snapshot was being installed.
 * Y2 A log that does not hold the last applied entry, because the engine outlived its end, restarts behind the state; what a killed
 *    process left in the engine is made durable before that.
 * Y3 The clock is above every stamp of the log before anything is served.
 */
export class Recovery {
  private readonly node: RecoveringNode;
  private readonly rooms: RecoveryRooms;

  constructor(node: RecoveringNode, rooms: RecoveryRooms) {
    this.node = node;
    this.rooms = rooms;
  }

  /** `done`: the error that makes a start impossible, or whether this is the first boot. */
  run(done: (error: Error | undefined, fresh: boolean) => void): void {
    const { log, engine, snapshots } = this.rooms;
    recoverLog({ log, engine }, this.node.options, (logError, recovered) => {
      if (logError !== undefined || recovered === undefined) {
        done(logError ?? new Error('the log could not be read'), false);
        return;
      }
      this.node.hlc.restart(recovered.clockBoundMs);
      const { groups } = recovered;
      const ids = groups.map(group => group.partitionId);
      snapshots.recover(ids, markError => {
        if (markError !== undefined) {
          done(markError, false);
          return;
        }
        this.readDurable(ids.map(metaRowKey), (engineError, rows) => {
          const error = engineError ?? (this.node.stopping ? new Error(STOPPED) : this.recoverGroups(groups, rows));
          done(error, groups.length === 0);
        });
      });
    });
  }

  private readDurable(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, rows: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const { engine } = this.rooms;
    engine.sync(error => {
      if (error !== undefined) done(error, []);
      else engine.getMany(keys, done);
    });
  }

  private recoverGroups(groups: readonly RecoveredGroup[], metaRows: readonly (Uint8Array | undefined)[]): Error | undefined {
    try {
      const system = metaRows[groups.findIndex(group => group.partitionId === SYSTEM_PARTITION)];
      const founded = system === undefined ? undefined : decodeMetaRow(system).system;
      this.node.poolSize = founded?.poolSize ?? this.node.options.poolSize;
      for (const [i, group] of groups.entries()) this.node.addReplica(this.recoverGroup(group, metaRows[i]));
      return undefined;
    } catch (reason) {
      return reason instanceof Error ? reason : new Error(String(reason));
    }
  }

  private recoverGroup(recovered: RecoveredGroup, metaRow: Uint8Array | undefined): Replica {
    const { factory, snapshots } = this.rooms;
    const { partitionId, replicaId, start } = recovered;
    const machine = factory.machine(partitionId, metaRow);
    for (const entry of recovered.entries) this.rooms.clock.observeStamp(entry);
    const installing = snapshots.marked(partitionId) !== undefined;
    if (machine.appliedIndex < start.index && !installing) {
      throw new Error(
        `partition ${partitionId}: the state ends at ${machine.appliedIndex}, but the log begins behind ${start.index}: state was lost`,
      );
    }
    // The engine outlived the end of the log, or what replaced that end: the log restarts behind it, as after a snapshot.
    const ahead = !installing && termInLog(recovered, machine.appliedIndex) !== machine.appliedTerm;
    const configuration = machine.configuration ?? start.configuration;
    const begin = ahead ? { index: machine.appliedIndex, term: machine.appliedTerm, configuration } : start;
    const replica = factory.replica(partitionId, machine, {
      replicaId,
      configuration: begin.configuration,
      hardState: recovered.hardState,
      startIndex: begin.index,
      startTerm: begin.term,
      entries: ahead ? [] : recovered.entries,
      appliedIndex: installing ? begin.index : Math.max(machine.appliedIndex, begin.index),
    });
    if (ahead) this.rooms.keeper.writeStart(partitionId, replicaId, begin.index, begin.term, configuration, true);
    replica.installing = installing;
    replica.diverged = snapshots.hadDiverged(partitionId);
    replica.checksumAgrees = !replica.diverged;
    return replica;
  }
}

/** undefined beyond the log's end. */
function termInLog({ start, entries }: RecoveredGroup, index: number): number | undefined {
  return index === start.index ? start.term : entries[index - start.index - 1]?.term;
}
