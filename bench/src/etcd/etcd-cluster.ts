import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ended, freePort, spawnOwned, until } from '@kahuna/e2e';

const BINARY = '/usr/bin/etcd';

/** Why etcd cannot be measured here, or undefined when it can. */
export function etcdMissing(): string | undefined {
  return existsSync(BINARY) ? undefined : `${BINARY} is not installed (Debian: apt-get install etcd-server): etcd is left out`;
}

/** Three etcd members on loopback with their defaults: fsync on, linearizable reads. */
export class EtcdCluster {
  /** host:port of each member's client listener, the leader first. */
  readonly addresses: readonly string[];
  /** Process ids in the same order. */
  readonly pids: readonly number[];
  private readonly stopAll: () => Promise<void>;

  private constructor(addresses: readonly string[], pids: readonly number[], stopAll: () => Promise<void>) {
    this.addresses = addresses;
    this.pids = pids;
    this.stopAll = stopAll;
  }

  static async start(directory: string, members = 3): Promise<EtcdCluster> {
    const ports = await Promise.all(
      Array.from({ length: members }, async () => ({ client: await freePort(), peer: await freePort() })),
    );
    const initialCluster = ports.map((port, i) => `etcd-${i + 1}=http://127.0.0.1:${port.peer}`).join(',');
    const children = ports.map((port, i) => {
      const data = join(directory, `etcd-${i + 1}`);
      mkdirSync(data, { recursive: true });
      const client = `http://127.0.0.1:${port.client}`;
      const peer = `http://127.0.0.1:${port.peer}`;
      return spawnOwned(
        BINARY,
        [
          ...['--name', `etcd-${i + 1}`, '--data-dir', data, '--log-level', 'error', '--logger', 'zap'],
          ...['--listen-client-urls', client, '--advertise-client-urls', client],
          ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
          ...[
            '--initial-cluster',
            initialCluster,
            '--initial-cluster-state',
            'new',
            '--initial-cluster-token',
            `bench-${process.pid}`,
          ],
          ...['--quota-backend-bytes', String(8 * 1024 ** 3)],
        ],
        { stdio: 'ignore' },
      );
    });
    const stopAll = async (): Promise<void> => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map(ended));
    };
    try {
      const leader = await until('etcd elects a leader', 20_000, async () => {
        const isLeader = await Promise.all(ports.map(port => leads(port.client)));
        const at = isLeader.indexOf(true);
        return at < 0 ? undefined : { at };
      });
      const order = [leader.at, ...ports.keys()].filter((member, at, all) => all.indexOf(member) === at);
      return new EtcdCluster(
        order.map(i => `127.0.0.1:${ports[i]?.client}`),
        order.map(i => children[i]?.pid as number),
        stopAll,
      );
    } catch (error) {
      await stopAll();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.stopAll();
  }
}

/** Asks a member, through its JSON gateway, whether it leads. */
async function leads(clientPort: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${clientPort}/v3/maintenance/status`, {
    method: 'POST',
    body: '{}',
    signal: AbortSignal.timeout(1000),
  });
  const status = (await answer.json()) as { leader?: string; header?: { member_id?: string } };
  return status.leader !== undefined && status.leader !== '0' && status.leader === status.header?.member_id;
}
