import type { Clock } from '@kahuna/base';
import type { OperationReport } from '@kahuna/console/protocol';
import type { NodeFacts } from '@kahuna/node';
import type { LoadRecorder } from './load-recorder.ts';
import type { SentTracks } from './load-tracks.ts';
import type { PeerOperations } from './peer-operations.ts';

/** What the consoles of a cluster tell one another, on top of the facts of their nodes, while somebody looks. */
interface Shared {
  readonly loads?: SentTracks;
  readonly operations?: readonly OperationReport[];
}

/** A peer that has not asked for so long may lack more than the newest: it is told everything. Milliseconds. */
const ASKS_AGAIN_WITHIN_MS = 15_000;
/** Everything is told again after this: answers get lost, and a peer may have been started again between two questions. Milliseconds. */
const EVERYTHING_EVERY_MS = 60_000;

/**
 * Tells peers that ask again and again. Nobody knows which answers arrive, and of several only the latest is looked at: so every answer
 * repeats what is new since a while, taking it twice changes nothing, and all the rest is repeated now and then.
 */
export class PeerShare {
  private readonly asked = new Map<number, { readonly atMs: number; readonly everythingAtMs: number }>();
  private readonly loads: LoadRecorder;
  private readonly operations: PeerOperations;
  private readonly clock: Clock;

  constructor(loads: LoadRecorder, operations: PeerOperations, clock: Clock) {
    this.loads = loads;
    this.operations = operations;
    this.clock = clock;
  }

  /** The answer to a peer. */
  answer(nodeId: number): Shared {
    const everything = this.isEverythingDue(nodeId);
    const loads = this.loads.shareWith(nodeId, everything);
    const operations = this.operations.share(everything);
    return { ...(loads === undefined ? {} : { loads }), ...(operations.length === 0 ? {} : { operations }) };
  }

  private isEverythingDue(nodeId: number): boolean {
    const atMs = this.clock.monotonicMs();
    const before = this.asked.get(nodeId);
    const isDue =
      before === undefined || atMs - before.atMs > ASKS_AGAIN_WITHIN_MS || atMs - before.everythingAtMs >= EVERYTHING_EVERY_MS;
    this.asked.set(nodeId, { atMs, everythingAtMs: isDue ? atMs : before.everythingAtMs });
    return isDue;
  }

  /** A peer may run another release: what does not look as it does here is left out. */
  take({ nodeId, boot, name, shared }: NodeFacts): void {
    if (!isObject(shared)) return;
    const { loads, operations } = shared;
    if (isTracks(loads)) this.loads.take(nodeId, loads);
    this.operations.take(nodeId, boot, name, Array.isArray(operations) ? operations.filter(isReport) : []);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTracks(value: unknown): value is SentTracks {
  return isObject(value) && typeof value['last'] === 'number' && isTexts(value['fine']) && isTexts(value['coarse'] ?? {});
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every(text => typeof text === 'string');
}

const TEXTS = ['operationId', 'kind', 'subject', 'from', 'state'] as const;

function isReport(value: unknown): value is OperationReport {
  return (
    isObject(value) &&
    TEXTS.every(name => typeof value[name] === 'string') &&
    typeof value['startedMs'] === 'number' &&
    Array.isArray(value['checks'])
  );
}
