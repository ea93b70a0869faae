import type { FetchedRow, ReadNeed } from '@kahuna/partition';
import type { NodeInternals } from '../internals.ts';
import { ForwardStatus } from '../peer-frame.ts';
import type { StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { PendingRequest } from '../request.ts';
import type { RunQueue } from './run-queue.ts';

/** A read by revision or time takes one row at a time; its value may be large. */
const READ_SCAN_BYTES = 64 * 1024 * 1024;

interface Fetch {
  readonly replica: Replica;
  readonly request: PendingRequest;
  readonly keys: readonly Uint8Array[];
}

/**
 * Rows that are not in memory, for reads and for entries that are to be applied.
 *
 * E1 All rows that the reads of one turn need are asked for in one call.
 * E2 A machine gets every row that it asked for, whatever has become of the request meanwhile: it waits for it.
 */
export class EngineReads {
  private readonly node: NodeInternals;
  private readonly engine: StateEngine;
  private readonly queue: RunQueue;
  private fetches: Fetch[] = [];
  /** Reads for which rows are under way. */
  underWay = 0;

  constructor(node: NodeInternals, engine: StateEngine, queue: RunQueue) {
    this.node = node;
    this.engine = engine;
    this.queue = queue;
  }

  /** Head rows of the next entry; `resume` follows. */
  forApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void {
    this.engine.getMany(keys, (error, values) => {
      if (this.node.failedEngine(error)) return;
      replica.machine.supply(keys.map((key, i) => ({ key, value: values[i] })));
      resume();
    });
  }

  /** Rows go with the other reads of this turn; a scan is asked for at once. The replica is called back. */
  forRead(replica: Replica, request: PendingRequest, need: ReadNeed): void {
    this.underWay++;
    if (need.kind === 'rows') {
      this.fetches.push({ replica, request, keys: need.keys });
      this.queue.schedule();
      return;
    }
    const { from, to, reverse, maxRows } = need;
    this.engine.scan({ from, to, reverse, maxRows, maxBytes: READ_SCAN_BYTES }, (error, page) => {
      this.underWay--;
      if (this.node.failedEngine(error)) request.refuse(ForwardStatus.Unknown);
      else this.fetched(replica, request, page.rows);
    });
  }

  /** Asks for everything that the reads of this turn need. */
  start(): void {
    if (this.fetches.length === 0) return;
    const { fetches } = this;
    this.fetches = [];
    const keys = fetches.flatMap(fetch => fetch.keys);
    this.engine.getMany(keys, (error, values) => {
      this.underWay -= fetches.length;
      if (this.node.failedEngine(error)) {
        for (const { request } of fetches) request.refuse(ForwardStatus.Unknown);
        return;
      }
      let at = 0;
      for (const { replica, request, keys: asked } of fetches) {
        // The machine tells late rows from fresh ones by the key objects that it asked with.
        this.fetched(
          replica,
          request,
          asked.map(key => ({ key, value: values[at++] })),
        );
      }
    });
  }

  private fetched(replica: Replica, request: PendingRequest, rows: readonly FetchedRow[]): void {
    if (!request.done && replica.mayServe) replica.evaluateWith(request, rows);
    else {
      replica.machine.supply(rows);
      if (!request.done) replica.accept(request);
    }
    this.queue.schedule();
  }
}
