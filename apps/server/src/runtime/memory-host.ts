import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createNodeHost, MemoryNetwork, type NodeHost } from '@kahuna/node';
import { openMemoryEngine, openMemoryLog } from '@kahuna/storage';
import { systemClock } from './system-clock.ts';
import { systemRng } from './system-rng.ts';
import { systemScheduler } from './system-scheduler.ts';
import { VERSION } from './version.ts';

/** The node serves within this, or the start is given up. Milliseconds. */
const READY_LIMIT_MS = 10_000;
const READY_LOOK_MS = 2;
/** One node alone has nothing to wait for, so logical time may run fast. Milliseconds. */
const TICK_MS = 10;
const NODE_ID = 1;

export interface MemoryHostOptions {
  readonly name: string;
  /** `host:port` by which the cluster of this one node knows it. */
  readonly endpoint: string;
  readonly clientUrl: string;
  /** Partitions of the hash pool. */
  readonly partitions: number;
}

/** A node of its own cluster over a log and an engine in memory. */
export function createMemoryHost(
  { name, endpoint, clientUrl, partitions }: MemoryHostOptions,
  onFatal: (reason: string) => void,
): NodeHost {
  return createNodeHost(
    {
      nodeId: NODE_ID,
      endpoint,
      name,
      version: VERSION,
      storageId: randomBytes(4).readUInt32LE(0) || 1,
      boot: 1,
      initialCluster: [],
      poolSize: partitions,
      clientUrl,
      consoleUrl: `${clientUrl}/ui/`,
      newClusterId: randomUUID(),
      settings: { tickMs: TICK_MS },
    },
    {
      clock: systemClock,
      rng: systemRng(0),
      scheduler: systemScheduler,
      log: openMemoryLog(),
      engine: openMemoryEngine(),
      transport: new MemoryNetwork(systemScheduler.soon).attach(endpoint),
    },
    onFatal,
  );
}

/** Resolves when the node serves. */
export async function startMemoryHost(node: NodeHost): Promise<void> {
  await new Promise<void>((resolve, reject) => node.start(error => (error === undefined ? resolve() : reject(error))));
  const limitMs = systemClock.monotonicMs() + READY_LIMIT_MS;
  while (!node.health().ready) {
    const { fatalFault } = node.health();
    if (fatalFault !== null) throw new Error(`the node gave up: ${fatalFault}`);
    if (systemClock.monotonicMs() > limitMs) throw new Error(`the node did not come to serve in ${READY_LIMIT_MS} ms`);
    await delay(READY_LOOK_MS);
  }
}
