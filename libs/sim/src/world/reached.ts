/** Everything that a sweep must have reached at least once: what never happens in it is not tested by it. */
export const FEATURES = [
  // elections and leadership
  'election won',
  'pre-vote refused',
  'vote refused',
  'leadership lost',
  'leadership transferred',
  'lease held',
  'ReadIndex round',
  // membership
  'membership change begun',
  'joint configuration committed',
  'joint configuration left',
  'leader gives up its vote',
  'election won while joint',
  'crash while joint',
  // logs
  'conflicting append refused',
  'log suffix replaced',
  'log compacted',
  'log restarted',
  'write done for a replaced entry',
  // snapshots
  'snapshot sent',
  'snapshot installed',
  'install resumed after a restart',
  // sleep
  'group asleep',
  'group woken',
  // requests
  'request forwarded',
  'read from the engine',
  // disks
  'write torn by a crash',
  'fsync error',
  'engine error',
  'slow fsync',
  'engine writes lost with the power',
  // network
  'one-way isolation',
  'full isolation',
  'link broken',
  'frame lost',
  'frame duplicated',
  'frame reordered',
  'link stalled',
  // processes and clocks
  'crash of a majority',
  'crash of all',
  'restart loop',
  'pause',
  'suspension',
  'clock step',
  'clock beyond trust',
  'deaf leader',
  // history
  'version pruned',
  'past read while held',
  'past read after it was superseded',
  'past gone',
  'watch resumed',
  'watch found history gone',
  // services
  'lock granted',
  'value of a sequence taken',
] as const;

/** So rare that only a long sweep can be asked for it. */
export const RARE_FEATURES: ReadonlySet<string> = new Set(['install resumed after a restart']);

export type Feature = (typeof FEATURES)[number];

/** How often a run, or a sweep, reached what. */
export class Reached {
  readonly counts: Record<string, number> = {};

  note(feature: Feature, times = 1): void {
    if (times > 0) this.counts[feature] = (this.counts[feature] ?? 0) + times;
  }
}

/** Of a whole sweep: by feature the runs that reached it, and how often they did. */
export class ReachedTotals {
  private readonly runs = new Map<string, number>();
  private readonly times = new Map<string, number>();

  add(counts: Readonly<Record<string, number>>): void {
    for (const [feature, times] of Object.entries(counts)) {
      this.runs.set(feature, (this.runs.get(feature) ?? 0) + 1);
      this.times.set(feature, (this.times.get(feature) ?? 0) + times);
    }
  }

  get missing(): Feature[] {
    return FEATURES.filter(feature => !this.runs.has(feature));
  }

  /** One line per feature, for a reader. */
  table(): string {
    const line = (feature: string): string => {
      const runs = String(this.runs.get(feature) ?? 0).padStart(7);
      return `${runs} seeds ${String(this.times.get(feature) ?? 0).padStart(11)} times  ${feature}`;
    };
    return ['what this sweep reached:', ...FEATURES.map(line)].join('\n');
  }
}
