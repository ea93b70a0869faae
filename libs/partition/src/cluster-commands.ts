import { compareOrdinal } from '@kahuna/range-router';
import type { GroupState } from './meta-row.ts';
import type { DescribeMember, FoundCluster, RosterMember } from './types.ts';

/*
 * Commands of partitions 0 and 1 on what the cluster says of itself: its roster and its range map. Each returns whether it took effect;
 * a repeat does not.
 */

export function foundCluster(state: GroupState, { clusterId, poolSize, members: listed }: FoundCluster): boolean {
  if (state.system !== undefined) return false;
  const members = listed.map((member): RosterMember => ({ ...member, role: 'Voter', joinedVersion: 1 }));
  members.sort((a, b) => compareOrdinal(a.endpoint, b.endpoint));
  state.system = { clusterId, poolSize, membershipVersion: 1, members };
  return true;
}

/** A member says by what name and addresses it goes now. */
export function describeMember(state: GroupState, { endpoint, name, clientUrl, consoleUrl }: DescribeMember): boolean {
  const { system } = state;
  if (!system?.members.some(member => member.endpoint === endpoint)) return false;
  const members = system.members.map(member =>
    member.endpoint === endpoint ? { ...member, name, clientUrl, consoleUrl } : member,
  );
  state.system = { ...system, members };
  return true;
}

export function foundRangeMap(state: GroupState): boolean {
  if (state.meta !== undefined) return false;
  state.meta = { mapVersion: 1 };
  return true;
}
