import type { Clock } from '@kahuna/base';
import type { OperationReport } from '@kahuna/console/protocol';
import type { Operations } from './operations.ts';

/** Newest operations of a node that its peers are told of, and all that run. */
const SHARED = 50;
/** Kept of each peer: more than it tells at once. */
const KEPT = 2 * SHARED;
/** For so long the end of an operation is told with every answer: some may get lost. Milliseconds. */
const TELL_END_FOR_MS = 30_000;

/**
 * Operations of all nodes on one list: each node keeps its own journal, and tells the newest of it to peers whose console is looked at.
 * What a node was executing when it was started again ends as `unknown` (console §7.1).
 */
export class PeerOperations {
  private readonly own: Operations;
  private readonly clock: Clock;
  private readonly heard = new Map<number, { boot: number; readonly reports: Map<string, OperationReport> }>();

  constructor(own: Operations, clock: Clock) {
    this.own = own;
    this.clock = clock;
  }

  /** For a peer: what runs or has just ended. `everything`: the newest ones, however long ago they ended. */
  share(everything: boolean): readonly OperationReport[] {
    const all = this.own.all();
    const since = everything ? Number.NEGATIVE_INFINITY : this.clock.wallMs() - TELL_END_FOR_MS;
    return all.filter((report, i) => report.state === 'running' || (i >= all.length - SHARED && (report.endedMs ?? 0) > since));
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
    for (const [id, report] of known.reports) {
      if (known.reports.size <= KEPT) break;
      if (report.state === 'ended') known.reports.delete(id);
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
