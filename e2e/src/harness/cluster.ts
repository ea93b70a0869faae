import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeAllButLogs } from './evidence.ts';
import { Network } from './network.ts';
import { freePort, HANGS_MS, until } from './processes.ts';
import { ServerProcess } from './server.ts';

export interface RoutingAnswer {
  readonly initialized: boolean;
  readonly hashPoolSize: number;
  readonly hashPartitionOffset: number;
  readonly localEndpoint: string;
  readonly leaders: readonly { readonly partitionId: number; readonly endpoint: string }[];
}

export interface MembershipAnswer {
  readonly membershipVersion: number;
  readonly members: readonly {
    readonly endpoint: string;
    readonly nodeId: number;
    readonly role: string;
    readonly joinedVersion: number;
  }[];
  readonly localRole: string;
  readonly initialized: boolean;
}

export interface ClusterOptions {
  /** Number of nodes; 1 = standalone. */
  readonly nodes?: number;
  /** Hash pool size. */
  readonly partitions?: number;
  readonly storage?: 'rocksdb' | 'sqlite' | 'memory';
  /** False: the nodes talk to each other directly, and no link can be broken. */
  readonly breakableNetwork?: boolean;
  /** Further flags for every node. */
  readonly args?: readonly string[];
  /** Wall clocks can be put ahead, see `ServerProcess.stepClock`. */
  readonly steppableClocks?: boolean;
  /** Places the data of a node elsewhere (a small file system, for instance). */
  readonly dataDirectory?: (node: number) => string | undefined;
  /** Parent of the directories; a new one under the system's temporary directory by default. */
  readonly directory?: string;
}

const STEPPABLE_CLOCK = new URL('./steppable-clock.mjs', import.meta.url).href;

/**
 * Elections within a second instead of four: tests about what happens after a failure need not wait for its discovery. Long enough
 * for two busy cores; an election too many is no error in any of these tests. A leader gives up no sooner than by default: a machine
 * that stood still for seconds would be without leaders.
 */
export const FAST_ELECTIONS: readonly string[] = [
  ...['--raft-timer-initial-delay', '300', '--raft-heartbeat-interval', '150', '--raft-check-leader-interval', '100'],
  ...['--raft-check-quorum-interval-multiplier', '27'],
  ...['--raft-start-election-timeout', '800', '--raft-end-election-timeout', '1500'],
  ...['--raft-ping-interval', '300', '--raft-ping-timeout', '200'],
];

/**
 * Ready sooner after a start, and no sooner than others to elect anew: for tests that lose what they look at with a leader (ephemeral
 * keys and locks), on a machine that may be busy.
 */
export const SOON_READY: readonly string[] = [
  ...['--raft-timer-initial-delay', '300'],
  // Nor does a leader give up after a machine stood still for seconds: all of them would.
  ...['--raft-check-quorum-interval-multiplier', '40'],
];

/** Real server processes on loopback with directories of their own and a network between them that can be broken. */
export class Cluster {
  readonly directory: string;
  readonly nodes: readonly ServerProcess[];
  readonly network: Network;
  private readonly raftPorts: readonly number[];

  private constructor(directory: string, nodes: readonly ServerProcess[], network: Network, raftPorts: readonly number[]) {
    this.directory = directory;
    this.nodes = nodes;
    this.network = network;
    this.raftPorts = raftPorts;
  }

  /** Ports chosen, directories made, proxies open; no server runs yet. */
  static async prepare(options: ClusterOptions = {}): Promise<Cluster> {
    const count = options.nodes ?? 3;
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'kahuna-e2e-'));
    mkdirSync(directory, { recursive: true });
    const raftPorts: number[] = [];
    for (let i = 0; i < count; i++) raftPorts.push(await freePort());
    const breakable = options.breakableNetwork ?? true;
    const raftHost = (node: number): string => (breakable ? Network.publicHost(node) : Network.privateHost(node));
    const peers = raftPorts.map((port, i) => `${raftHost(i + 1)}:${port}`);
    const nodes: ServerProcess[] = [];
    for (let i = 0; i < count; i++) {
      const node = i + 1;
      const httpPort = await freePort();
      const grpcPort = await freePort();
      const host = Network.privateHost(node);
      const data = options.dataDirectory?.(node) ?? join(directory, `node-${node}`);
      const httpUrl = `http://${host}:${httpPort}`;
      nodes.push(
        new ServerProcess({
          name: `node-${node}`,
          directory,
          httpUrl,
          grpcAddress: `${host}:${grpcPort}`,
          ...(options.steppableClocks ? { env: { NODE_OPTIONS: `--import=${STEPPABLE_CLOCK}` } } : {}),
          args: [
            ...['--host', host, '--http-ports', String(httpPort), '--grpc-cleartext-ports', String(grpcPort)],
            ...['--raft-nodename', `node-${node}`, '--raft-nodeid', String(node)],
            ...['--raft-host', raftHost(node), '--raft-port', String(raftPorts[i])],
            ...['--raft-grpc-scheme', 'http://', '--advertised-client-endpoint', httpUrl],
            ...['--initial-cluster-partitions', String(options.partitions ?? 3), '--storage', options.storage ?? 'rocksdb'],
            ...['--storage-path', join(data, 'data'), '--wal-path', join(data, 'wal')],
            ...(count > 1 ? ['--initial-cluster', peers.join(',')] : []),
            ...(options.args ?? []),
          ],
        }),
      );
    }
    const network = new Network(count, node => nodes[node - 1]?.pid);
    if (breakable) for (let i = 0; i < count; i++) await network.listen(i + 1, raftPorts[i] as number);
    return new Cluster(directory, nodes, network, raftPorts);
  }

  /** Prepared, started and ready: every partition has a leader that every node knows. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = await Cluster.prepare(options);
    try {
      for (const node of cluster.nodes) node.start();
      await cluster.ready();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** 1-based. */
  node(number: number): ServerProcess {
    const node = this.nodes[number - 1];
    if (!node) throw new Error(`no node ${number}`);
    return node;
  }

  raftAddress(number: number): { host: string; port: number } {
    return { host: Network.privateHost(number), port: this.raftPorts[number - 1] as number };
  }

  async ready(deadlineMs = HANGS_MS): Promise<void> {
    await Promise.all(this.nodes.filter(node => node.running).map(node => node.ready(deadlineMs)));
    await this.leadersKnown(deadlineMs);
  }

  /** Every running node knows a running leader of every pool partition. */
  async leadersKnown(deadlineMs = HANGS_MS): Promise<void> {
    const running = this.nodes.filter(node => node.running);
    const urls = new Set(running.map(node => node.url));
    let views: readonly RoutingAnswer[] = [];
    await until('leaders known', deadlineMs, async () => {
      views = await Promise.all(running.map(node => this.routing(node)));
      return views.every(
        view => view.initialized && view.leaders.length > 0 && view.leaders.every(leader => urls.has(leader.endpoint)),
      );
    }).catch(error => {
      const outputs = running.map(node => `--- last output of ${node.options.name} ---\n${node.output}`);
      throw new Error([String(error), JSON.stringify(views), ...outputs].join('\n'));
    });
  }

  async routing(node: ServerProcess = this.firstRunning()): Promise<RoutingAnswer> {
    const answer = await fetch(`${node.url}/v1/cluster/routing`, { signal: AbortSignal.timeout(HANGS_MS / 4) });
    return (await answer.json()) as RoutingAnswer;
  }

  async membership(node: ServerProcess = this.firstRunning()): Promise<MembershipAnswer> {
    const answer = await fetch(`${node.url}/v1/cluster/membership`, { signal: AbortSignal.timeout(HANGS_MS / 4) });
    return (await answer.json()) as MembershipAnswer;
  }

  /** The node that leads a partition as `seenBy` knows, 1-based; 0 if unknown. */
  async leaderOf(partitionId: number, seenBy: ServerProcess = this.firstRunning()): Promise<number> {
    const view = await this.routing(seenBy);
    const endpoint = view.leaders.find(leader => leader.partitionId === partitionId)?.endpoint;
    return this.nodes.findIndex(node => node.url === endpoint) + 1;
  }

  firstRunning(): ServerProcess {
    const node = this.nodes.find(candidate => candidate.running);
    if (!node) throw new Error('no node runs');
    return node;
  }

  /** Undoes what a test did to it: no broken link, every node runs, every partition has a leader. */
  async mend(): Promise<void> {
    this.network.heal();
    for (const node of this.nodes) {
      if (node.running) node.resume();
      else node.start();
    }
    await this.ready();
  }

  /** Everything is stopped, and its files go unless asked to stay; the logs only once no test can fail any more. */
  async close(keepFiles = false): Promise<void> {
    this.network.heal();
    await Promise.all(this.nodes.map(node => node.kill()));
    await this.network.close();
    if (!keepFiles) removeAllButLogs(this.directory);
  }

  /** Copies the logs where a failed run can be looked at afterwards. */
  keepLogs(target: string): void {
    mkdirSync(target, { recursive: true });
    for (const node of this.nodes) cpSync(node.logFile, join(target, `${node.options.name}.log`), { force: true });
  }
}
