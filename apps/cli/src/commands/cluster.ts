import type { ClusterMember } from '@kahuna/client';
import { toJson } from '../output/json.ts';
import { table } from '../output/table.ts';
import type { Run } from './command.ts';

/** Roles as rosters print them (spec operations §3.1). */
const ROLE_NAMES: Readonly<Record<ClusterMember['role'], string>> = {
  learner: 'Learner',
  voter: 'Voter',
  leaving: 'Leaving',
  'not-member': 'NotMember',
};

export const showMembers: Run = async ({ client, signal, output, json }) => {
  const { version, members, localRole, initialized } = await client.cluster.membership({ signal });
  const role = ROLE_NAMES[localRole];
  if (json) {
    const roster = members.map(member => ({
      endpoint: member.endpoint,
      nodeId: member.nodeId,
      role: ROLE_NAMES[member.role],
      joinedVersion: member.joinedVersion,
    }));
    await output.line(toJson({ membershipVersion: version, members: roster, localRole: role, initialized }));
    return true;
  }
  await output.line(`Membership version ${version}  Local role ${role}  Initialized ${initialized ? 'True' : 'False'}`);
  await output.line('');
  const rows = members.map(member => [
    member.endpoint,
    String(member.nodeId),
    ROLE_NAMES[member.role],
    String(member.joinedVersion),
  ]);
  for (const line of table(['Endpoint', 'Node ID', 'Role', 'Joined Version'], rows)) await output.line(line);
  await output.line('');
  return true;
};
