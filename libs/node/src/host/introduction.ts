import { SYSTEM_PARTITION } from '@kahuna/base';
import { allMembers, type Member } from '@kahuna/raft';
import { encodeHello, type Hello, PROTOCOL_VERSION } from '../hello.ts';
import type { NodeInternals } from '../internals.ts';
import { otherEndpoints } from '../settings.ts';

/** What this node says of itself, first on every new stream. */
export function ourHello(node: NodeInternals): Uint8Array {
  const { options } = node;
  const knows: Record<string, number> = {};
  for (const member of systemMembers(node)) knows[member.nodeId] = member.replicaId;
  return encodeHello({
    protocolMin: PROTOCOL_VERSION,
    protocolMax: PROTOCOL_VERSION,
    clusterId: node.system?.clusterId ?? '',
    endpoint: options.endpoint,
    nodeId: options.nodeId,
    name: options.name,
    storageId: options.storageId,
    boot: options.boot,
    poolSize: node.poolSize,
    founded: node.replicas.size > 0,
    knows,
    listed: otherEndpoints(options).length + 1,
    clientUrl: options.clientUrl,
    consoleUrl: options.consoleUrl,
    electionTimeoutMs: node.settings.electionMinMs,
    version: options.version,
  });
}

/** Why this node does not speak with one that says this hello; undefined: it does. Whoever may not be a member must not be counted as one. */
export function refusalOf(hello: Hello, node: NodeInternals): string | undefined {
  if (hello.protocolMin > PROTOCOL_VERSION || hello.protocolMax < PROTOCOL_VERSION) {
    return `speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, this node ${PROTOCOL_VERSION}`;
  }
  if (hello.nodeId === node.nodeId) return `has this node's id ${node.nodeId}; give each node its own --raft-nodeid`;
  const { system } = node;
  if (system !== undefined && hello.clusterId !== '' && hello.clusterId !== system.clusterId) {
    return `belongs to cluster ${hello.clusterId}, this node to ${system.clusterId}`;
  }
  const known = node.peerByNode(hello.nodeId);
  if (known !== undefined && known.hello?.storageId === hello.storageId && hello.boot < known.boot) {
    return `its process ${hello.boot} is gone: process ${known.boot} of the same data directory was here`;
  }
  if (hello.poolSize !== node.poolSize) return `was started with ${hello.poolSize} partitions, this node has ${node.poolSize}`;
  const member = systemMembers(node).find(({ nodeId }) => nodeId === hello.nodeId);
  if (member !== undefined && member.replicaId !== hello.storageId) {
    return 'its data directory is not the one that is a member: it has lost its votes and entries';
  }
  return undefined;
}

/** Learners too: one whose data directory was replaced has lost entries that it acknowledged, and may vote soon. */
function systemMembers(node: NodeInternals): readonly Member[] {
  const system = node.replica(SYSTEM_PARTITION);
  return system === undefined ? [] : allMembers(system.group.configuration);
}
