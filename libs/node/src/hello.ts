import { DecodeError } from '@kahuna/base';

/** First frame on every stream between two nodes: who speaks. Once per connection, so JSON; unknown members are ignored. */
export interface Hello {
  /** Range of protocol versions that the sender speaks. */
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** '' before the cluster is founded or joined. */
  readonly clusterId: string;
  readonly endpoint: string;
  readonly nodeId: number;
  readonly name: string;
  /** Random identity of the data directory. */
  readonly storageId: number;
  /** Grows with every start on one data directory. */
  readonly boot: number;
  readonly poolSize: number;
  /** Replicas exist here already: this is no first boot. */
  readonly founded: boolean;
  /** Data directories that this node counts as members, by node id; empty on a first boot. */
  readonly knows: Readonly<Record<string, number>>;
  /** Nodes that this one would found the cluster with, itself among them; 0: not said. */
  readonly listed: number;
  readonly clientUrl: string;
  readonly consoleUrl: string;
  readonly electionTimeoutMs: number;
  readonly version: string;
}

export const PROTOCOL_VERSION = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function encodeHello(hello: Hello): Uint8Array {
  return encoder.encode(JSON.stringify(hello));
}

/** Throws {@link DecodeError} for anything that is not a hello of a version we understand. */
export function decodeHello(bytes: Uint8Array): Hello {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    throw new DecodeError('hello is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new DecodeError('hello is not an object');
  const members = value as Record<string, unknown> & { knows?: Record<string, unknown>; founded?: unknown; listed?: unknown };
  const text = (name: string): string => {
    const member = members[name];
    if (typeof member !== 'string') throw new DecodeError(`hello: ${name} is not a string`);
    return member;
  };
  const count = (name: string): number => {
    const member = members[name];
    if (typeof member !== 'number' || !Number.isSafeInteger(member) || member < 0)
      throw new DecodeError(`hello: ${name} is not a count`);
    return member;
  };
  const knows: Record<string, number> = {};
  for (const [nodeId, storageId] of Object.entries(members.knows ?? {})) {
    if (typeof storageId === 'number') knows[nodeId] = storageId;
  }
  return {
    protocolMin: count('protocolMin'),
    protocolMax: count('protocolMax'),
    clusterId: text('clusterId'),
    endpoint: text('endpoint'),
    nodeId: count('nodeId'),
    name: text('name'),
    storageId: count('storageId'),
    boot: count('boot'),
    poolSize: count('poolSize'),
    founded: members.founded === true,
    knows,
    listed: members.listed === undefined ? 0 : count('listed'),
    clientUrl: text('clientUrl'),
    consoleUrl: text('consoleUrl'),
    electionTimeoutMs: count('electionTimeoutMs'),
    version: text('version'),
  };
}
