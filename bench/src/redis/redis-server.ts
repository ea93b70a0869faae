import { existsSync, mkdirSync } from 'node:fs';
import { ended, freePort, spawnOwned, until } from '@kahuna/e2e';
import { RedisClient } from './redis-client.ts';

const BINARY = '/usr/bin/redis-server';

/** Why Redis cannot be measured here, or undefined when it can. */
export function redisMissing(): string | undefined {
  return existsSync(BINARY) ? undefined : `${BINARY} is not installed (Debian: apt-get install redis-server): Redis is left out`;
}

/** One Redis on loopback that answers a write only after fsync. One: the recipes of Redis know no quorum. */
export class RedisServer {
  readonly address: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;

  private constructor(address: string, pid: number, stop: () => Promise<void>) {
    this.address = address;
    this.pid = pid;
    this.stop = stop;
  }

  static async start(directory: string): Promise<RedisServer> {
    mkdirSync(directory, { recursive: true });
    const port = await freePort();
    const child = spawnOwned(
      BINARY,
      [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'always'],
      ],
      { stdio: 'ignore' },
    );
    const stop = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended(child);
    };
    const address = `127.0.0.1:${port}`;
    try {
      await until('redis answers', 10_000, () => ping(address));
    } catch (error) {
      await stop();
      throw error;
    }
    return new RedisServer(address, child.pid as number, stop);
  }
}

async function ping(address: string): Promise<boolean> {
  const client = new RedisClient(address);
  try {
    return await new Promise(resolve => client.send(['PING'], reply => resolve(reply === 'PONG')));
  } finally {
    client.close();
  }
}
