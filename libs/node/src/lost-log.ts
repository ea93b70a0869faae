import { assert, type PartitionId } from '@kahuna/base';
import { decodeMetaRow, metaRowKey } from '@kahuna/partition';
import type { LogStore, Ports, RecoveredGroup, RecoveredLog } from './ports.ts';
import type { NodeOptions } from './settings.ts';

type Recovered = Parameters<LogStore['recover']>[0];

/**
 * Recovers the log, and looks whether it is the one that the state was made with. An empty log under the state of a founded node means that
 * votes and entries were lost which this node promised to keep: it would vote a second time in terms that it has forgotten, found the
 * groups anew and apply their entries to rows of old. So it does not start.
 *
 * Where it is the only member it promised nothing to anybody. With a log that was in memory, and whose end was therefore to be expected, it
 * goes on behind what the state holds.
 */
export function recoverLog({ log, engine }: Pick<Ports, 'log' | 'engine'>, options: NodeOptions, done: Recovered): void {
  log.recover((error, found) => {
    const recovered = found !== undefined && isHalfFounded(found, options) ? { ...found, groups: [] } : found;
    if (error !== undefined || recovered === undefined || recovered.groups.length > 0 || options.boot === 1) {
      done(error, recovered);
      return;
    }
    engine.getMany([metaRowKey(0)], (engineError, [row]) => {
      if (engineError !== undefined || row === undefined) done(engineError, recovered);
      else goOnBehind(row, recovered, log, options, done);
    });
  });
}

/**
 * A process was killed while it made its groups, which are too many for one write: nothing was promised or taken by any of them before all were
 * durable, so they are made anew.
 */
function isHalfFounded({ groups }: RecoveredLog, { poolSize }: NodeOptions): boolean {
  const isNew = ({ hardState, start, entries }: RecoveredGroup): boolean =>
    hardState.term === 0 && start.index === 0 && entries.length === 0;
  return groups.length > 0 && groups.length < poolSize + 2 && groups.every(isNew);
}

function goOnBehind(row: Uint8Array, recovered: RecoveredLog, log: LogStore, options: NodeOptions, done: Recovered): void {
  const { system, appliedIndex } = decodeMetaRow(row);
  const isOnlyMember = system?.members.length === 1 && system.members[0]?.storageId === options.storageId;
  if (!isOnlyMember || options.logWasVolatile !== true) {
    done(new Error(`${lossOf(options)}, but the state holds partition 0 up to ${appliedIndex}: ${CURE}`), undefined);
    return;
  }
  assert(system !== undefined, 'the only member stands in the roster');
  const groups = Array.from({ length: system.poolSize + 2 }, (_, id) => groupOf(id, options));
  log.append(groups, undefined, error => done(error, error === undefined ? { ...recovered, groups } : undefined));
}

function groupOf(partitionId: PartitionId, { storageId, nodeId }: NodeOptions): RecoveredGroup {
  const configuration = { voters: [{ replicaId: storageId, nodeId }], outgoing: [], learners: [] };
  const start = { index: 0, term: 0, configuration, reset: true };
  return { partitionId, replicaId: storageId, hardState: { term: 0, vote: 0 }, start, entries: [] };
}

function lossOf({ logWasVolatile }: NodeOptions): string {
  return logWasVolatile === true ? 'the log was in memory and is gone' : 'the log is empty';
}

const CURE =
  'with the log this node has lost votes and entries that it promised to keep, so it is no member any more; restore the log, or let it join anew with an empty data directory';
