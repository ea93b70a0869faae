/**
 * Counts samples by fixed edges since the start, as scrapers want them. Meant for what happens per batch or less often: recording
 * looks through the edges one by one.
 */
export class Histogram {
  /** Inclusive upper edges, ascending; samples above the last one are in `count` only. */
  readonly edges: readonly number[];
  /** Samples at or below each edge and above the one before. */
  readonly counts: number[];
  count = 0;
  sum = 0;

  constructor(edges: readonly number[]) {
    this.edges = edges;
    this.counts = edges.map(() => 0);
  }

  record(sample: number): void {
    this.count++;
    this.sum += sample;
    const { edges } = this;
    for (let i = 0; i < edges.length; i++) {
      if (sample > (edges[i] as number)) continue;
      this.counts[i] = (this.counts[i] as number) + 1;
      return;
    }
  }
}

const ITEMS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];
const MILLISECONDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

/**
 * What a node counts about its own work since it started (spec operations §14). Plain fields, so that counting is one addition;
 * `instruments.ts` gives them their names.
 */
export class Meters {
  /** Writes taken into a partition's queue. */
  admitted = 0;
  /** Log entries proposed for writes, and writes in them. */
  batches = 0;
  entries = 0;
  /** Writes refused before they were proposed, by reason. */
  readonly rejections = { queue_full: 0, inbox_full: 0, stopping: 0, queue_expired: 0 };
  /** Proposed writes by what became of them; permanent: the outcome could not be learned, so nobody here tries again. */
  readonly outcomes = { success: 0, transient: 0, permanent: 0 };
  readonly batchItems = new Histogram(ITEMS);
  readonly batchBytes = new Histogram(BYTES);
  /** From a batch's oldest receipt to its proposal, and from there until it is applied. Milliseconds. */
  readonly queueAgeMs = new Histogram(MILLISECONDS);
  readonly raftMs = new Histogram(MILLISECONDS);

  /** As-of reads that were aborted although a live hold protects their time: must stay 0. */
  missingProtectedVersions = 0;
  /** Batches of pruning that removed nothing because P1 confirmed no ceiling. */
  prunesSkipped = 0;

  /** Steps of all groups, by class. */
  readonly steps = { control: 0, replication: 0, client: 0, maintenance: 0 };
  /** Groups that shared one durable write. */
  readonly logBatchSize = new Histogram(ITEMS);
  /** Heartbeats of node pairs, and what passed between two of them to one peer. Milliseconds. */
  heartbeatsSent = 0;
  readonly heartbeatDelayMs = new Histogram([50, 100, 200, 400, 500, 600, 800, 1000, 2000, 4000]);
  /** From the last sign of the leader's node to the election. Milliseconds. */
  readonly electionDelayMs = new Histogram([100, 250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 10_000, 30_000]);
}
