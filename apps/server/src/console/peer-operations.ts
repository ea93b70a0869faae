import type { OperationReport } from '@kahuna/console/protocol';
import type { Operations } from './operations.ts';

/** Newest operations of a node that its peers show too. */
const SHARED = 50;
/** A peer that has not asked for so long is told everything again. Milliseconds. */
const ASKS_AGAIN_WITHIN_MS = 5_000;

/**
 * Operations of all nodes on one list: each node keeps its own journal, and tells the newest of it to peers whose console is looked at.
 * What a node was executing when it was started again ends as `unknown` (console §7.1).
 */
export class PeerOperations {
  private readonly own: Operations;
  private readonly mono: () => number;
  private readonly told = new Map<number, { readonly atMs: number; readonly version: number }>();
  private readonly heard = new Map<number, { boot: number; readonly reports: Map<string, OperationReport> }>();

  constructor(own: Operations, mono: () => number) {
    this.own = own;
    this.mono = mono;
  }

  /** What a peer that asks again and again lacks: all of it, or how far those are that run; undefined: nothing. */
  shareWith(nodeId: number): readonly OperationReport[] | undefined {
    const atMs = this.mono();
    const known = this.told.get(nodeId);
    const { version } = this.own;
    this.told.set(nodeId, { atMs, version });
    const newest = this.own.all().slice(-SHARED);
    const goesOn = known !== undefined && atMs - known.atMs < ASKS_AGAIN_WITHIN_MS && known.version === version;
    const shared = goesOn ? newest.filter(report => report.state === 'running') : newest;
    return shared.length === 0 ? undefined : shared;
  }

  take(nodeId: number, boot: number, name: string, reports: readonly OperationReport[]): void {
    const known = this.heard.get(nodeId) ?? { boot, reports: new Map<string, OperationReport>() };
    this.heard.set(nodeId, known);
    if (known.boot !== boot) {
      known.boot = boot;
      for (const [id, report] of known.reports) {
        if (report.state === 'running') known.reports.set(id, interrupted(report, name));
      }
    }
    // It can be stopped where it runs only.
    for (const report of reports) known.reports.set(report.operationId, { ...report, canCancel: false, source: nodeId });
    for (const id of known.reports.keys()) {
      if (known.reports.size <= SHARED) break;
      known.reports.delete(id);
    }
  }

  /** Of all nodes. */
  all(): readonly OperationReport[] {
    return [...this.own.all(), ...[...this.heard.values()].flatMap(({ reports }) => [...reports.values()])];
  }
}

function interrupted(report: OperationReport, name: string): OperationReport {
  const text = `${name} was started again while it ran. It may have taken effect; look at the present state.`;
  return { ...report, state: 'ended', outcome: 'unknown', text, endedMs: null };
}
