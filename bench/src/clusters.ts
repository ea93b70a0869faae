import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, type ClusterOptions } from '@kahuna/e2e';

/** A directory on the disk under test, removed when `body` ends. Both stores keep their data in it: they share the disk. */
export async function withDirectory<T>(parent: string | undefined, body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(parent || tmpdir(), 'kahuna-bench-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A cluster whose nodes talk to each other directly, closed when `body` ends. */
export async function withCluster<T>(
  options: ClusterOptions & { directory: string },
  body: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const cluster = await Cluster.start({ breakableNetwork: false, ...options });
  try {
    return await body(cluster);
  } finally {
    await cluster.close(true);
  }
}
