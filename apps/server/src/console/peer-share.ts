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

export function shareWith(nodeId: number, loads: LoadRecorder, operations: PeerOperations): Shared {
  const tracks = loads.shareWith(nodeId);
  const reports = operations.shareWith(nodeId);
  return { ...(tracks === undefined ? {} : { loads: tracks }), ...(reports === undefined ? {} : { operations: reports }) };
}

/** A peer may run another release: what does not look as it does here is left out. */
export function takeShared(facts: NodeFacts, loads: LoadRecorder, operations: PeerOperations): void {
  const { nodeId, boot, name, shared } = facts;
  if (!isObject(shared)) return;
  const { loads: tracks, operations: reports } = shared;
  if (isTracks(tracks)) loads.take(nodeId, tracks);
  operations.take(nodeId, boot, name, Array.isArray(reports) ? reports.filter(isReport) : []);
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
