import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cluster } from '../harness/cluster.ts';
import type { Fault } from './faults.ts';

/** Room for the log's preallocated segments and the engine, and little enough to be filled in a moment. */
const SIZE_MIB = 512;
const CHUNK_BYTES = 4 * 1024 * 1024;

export const DISK_FULL_KIND = 'disk full';

/**
 * Small file systems in memory, one per node, that can be filled up. Mounting needs root; without it the nodes keep their data in
 * ordinary directories and this fault is not among those of the run, which is said in the report.
 */
export class DiskFull {
  private readonly parent: string;
  private readonly mounted: boolean;

  private constructor(parent: string, mounted: boolean) {
    this.parent = parent;
    this.mounted = mounted;
    // Memory that a run which broke off would otherwise keep from the machine until its next start.
    process.once('exit', this.remove);
  }

  static async create(nodes = 3): Promise<DiskFull> {
    const parent = mkdtempSync(join(tmpdir(), 'kahuna-disks-'));
    const mounts: string[] = [];
    for (let node = 1; node <= nodes; node++) {
      const directory = join(parent, String(node));
      mkdirSync(directory);
      if (!mount(directory)) break;
      mounts.push(directory);
    }
    const mounted = mounts.length === nodes;
    if (!mounted) for (const directory of mounts) unmount(directory);
    return new DiskFull(parent, mounted);
  }

  /** Where a node keeps its data. */
  directoryOf(node: number): string {
    return join(this.parent, String(node));
  }

  /** The faults that this machine allows. */
  faults(): readonly Fault[] {
    if (!this.mounted) return [];
    return [
      {
        kind: DISK_FULL_KIND,
        mayEndProcess: true,
        strike: async (_, node) => this.fill(node),
        repair: async (cluster, node) => this.free(cluster, node),
      },
    ];
  }

  /** Takes every free byte. */
  fill(node: number): void {
    const file = openSync(this.ballast(node), 'w');
    const chunk = Buffer.alloc(CHUNK_BYTES);
    try {
      for (let size = CHUNK_BYTES; size >= 4096; ) {
        try {
          writeSync(file, chunk, 0, size);
        } catch {
          size /= 2; // full at this size: try to take the rest in smaller pieces
        }
      }
    } finally {
      closeSync(file);
    }
  }

  freeBytes(node: number): number {
    const { bavail, bsize } = statfsSync(this.directoryOf(node));
    return bavail * bsize;
  }

  /** Gives the space back, and starts the node again if it stopped for want of it. */
  private async free(cluster: Cluster, node: number): Promise<void> {
    rmSync(this.ballast(node), { force: true });
    const server = cluster.node(node);
    // A node that met the full disk stops itself; one that had nothing to write may still run, and goes on.
    if (server.running && (await server.health().catch(() => undefined))?.status === 200) return;
    if (server.running) await server.exited();
    server.start();
  }

  private ballast(node: number): string {
    return join(this.directoryOf(node), 'ballast');
  }

  /** Gives everything back. */
  readonly remove = (): void => {
    process.off('exit', this.remove);
    if (!existsSync(this.parent)) return;
    for (let node = 1; this.mounted && existsSync(this.directoryOf(node)); node++) unmount(this.directoryOf(node));
    rmSync(this.parent, { recursive: true, force: true });
  };
}

function unmount(directory: string): void {
  execFileSync('umount', ['--lazy', directory]);
}

function mount(directory: string): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'kahuna', directory], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
