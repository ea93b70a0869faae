import type { SequenceRow } from '@kahuna/console/protocol';
import type { SequenceEntry } from '@kahuna/partition';

const MAX_SEQUENCES = 20_000;
/** The rate is measured over this long, so that the blocks in which the mark moves do not make it jump. Milliseconds. */
const WINDOW_MS = 30_000;
const LEAST_MS = 2_000;
const SAMPLES = 16;

interface Sample {
  readonly atMs: number;
  readonly mark: bigint;
}

interface Watched {
  incarnation: number;
  samples: Sample[];
}

/** How fast the marks move, measured by looking again and again. The mark moves in blocks, so this is what is reserved, not what is used. */
export class SequenceWatch {
  private readonly sequences = new Map<string, Watched>();

  observe(entry: SequenceEntry, partitionId: number | null, nowMs: number, source: number): SequenceRow {
    const perMs = this.marksPerMs(entry, nowMs);
    const left = entry.maxValue === undefined ? undefined : (entry.maxValue - entry.currentValue) / entry.increment;
    const perSec = perMs === undefined ? null : Number(((perMs * 1000) / Number(entry.increment)).toPrecision(3));
    return {
      name: entry.name,
      currentValue: String(entry.currentValue),
      initialValue: String(entry.initialValue),
      increment: String(entry.increment),
      maxValue: entry.maxValue === undefined ? null : String(entry.maxValue),
      blockSize: entry.blockSize ?? null,
      incarnation: String(entry.incarnation),
      revision: String(entry.revision),
      createdMs: entry.createdAt.l,
      updatedMs: entry.updatedAt.l,
      reservedPerSec: perSec,
      remaining: left === undefined ? null : String(left > 0n ? left : 0n),
      exhaustsMs: left === undefined || perSec === null || perSec <= 0 ? null : roundUp(nowMs + (Number(left) / perSec) * 1000),
      partitionId,
      source,
    };
  }

  private marksPerMs(entry: SequenceEntry, nowMs: number): number | undefined {
    const known = this.sequences.get(entry.name);
    const watched = known?.incarnation === entry.incarnation ? known : { incarnation: entry.incarnation, samples: [] };
    if (watched !== known) this.remember(entry.name, watched);
    const newest = watched.samples.at(-1);
    if (newest === undefined || nowMs - newest.atMs >= WINDOW_MS / SAMPLES) {
      watched.samples.push({ atMs: nowMs, mark: entry.currentValue });
    }
    while ((watched.samples[1]?.atMs ?? nowMs) < nowMs - WINDOW_MS) watched.samples.shift();
    const oldest = watched.samples[0];
    if (oldest === undefined || nowMs - oldest.atMs < LEAST_MS) return undefined;
    return Number(entry.currentValue - oldest.mark) / (nowMs - oldest.atMs);
  }

  private remember(name: string, watched: Watched): void {
    this.sequences.set(name, watched);
    if (this.sequences.size <= MAX_SEQUENCES) return;
    const oldest = this.sequences.keys().next().value;
    if (oldest !== undefined) this.sequences.delete(oldest);
  }
}

/** An estimate in whole minutes: one that changes with every look would only flicker. */
function roundUp(ms: number): number {
  return Math.ceil(ms / 60_000) * 60_000;
}
