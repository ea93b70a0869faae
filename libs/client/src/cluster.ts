import { clusterMessages } from '@kahuna/wire';
import { READ } from './call.ts';
import type { Caller } from './caller.ts';
import type { Cluster, ClusterMember, Membership } from './cluster-api.ts';
import { request } from './method-call.ts';
import type { CallOptions } from './options.ts';

const Role = clusterMessages.GrpcClusterMemberRole;

const ROLES: Readonly<Record<clusterMessages.GrpcClusterMemberRole, ClusterMember['role']>> = {
  [Role.CLUSTER_MEMBER_ROLE_LEARNER]: 'learner',
  [Role.CLUSTER_MEMBER_ROLE_VOTER]: 'voter',
  [Role.CLUSTER_MEMBER_ROLE_LEAVING]: 'leaving',
  [Role.CLUSTER_MEMBER_ROLE_NOT_MEMBER]: 'not-member',
};

/** See {@link Cluster}. */
export class ClusterService implements Cluster {
  private readonly caller: Caller;

  constructor(caller: Caller) {
    this.caller = caller;
  }

  membership(options?: CallOptions): Promise<Membership> {
    return request<'membership', Membership>(
      this.caller,
      {
        traits: READ,
        method: 'membership',
        request: {},
        route: () => undefined,
        conclude: response => ({
          initialized: response.Initialized,
          version: response.MembershipVersion,
          members: response.Members.map(member => ({
            endpoint: member.Endpoint,
            nodeId: member.NodeId,
            role: ROLES[member.Role],
            joinedVersion: member.JoinedVersion,
          })),
          localRole: ROLES[response.LocalRole],
        }),
      },
      options,
    );
  }
}
