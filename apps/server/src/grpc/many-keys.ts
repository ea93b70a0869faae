import type { KahunaNode, ResultSink } from '@kahuna/node';
import { type Operation, type OperationResult, ResponseType } from '@kahuna/partition';
import {
  decodeManyReads,
  decodeManyWrites,
  keyValueMessages,
  type ManyKind,
  type ManyRequest,
  type RequestedOperation,
  ReverseWriter,
  writeManyResponse,
} from '@kahuna/wire';
import { MAX_MANY_BYTES, windowEnd } from '../gateway/many-window.ts';
import { invalidInput, isValidOperation, MAX_MANY_ITEMS, refusal } from '../gateway/validate.ts';
import type { RouteHints } from './route-hints.ts';

/** Throws `DecodeError`, or `TooManyItemsError` for a request that would not fit in memory decently. */
export function decodeMany(kind: ManyKind, bytes: Uint8Array, start: number, end: number): ManyRequest {
  return kind === 'set' || kind === 'delete'
    ? decodeManyWrites(kind, bytes, start, end, MAX_MANY_ITEMS)
    : decodeManyReads(kind, bytes, start, end, MAX_MANY_ITEMS);
}

/**
 * Executes a multi-key request (grpc §7.2, keyvalues §14). `payload` is the message that `request` was decoded from.
 * `done` gets one result per item, in their order; it may be called before this function returns.
 */
export function runMany(
  node: KahunaNode,
  kind: ManyKind,
  request: ManyRequest,
  payload: Uint8Array,
  deadlineMs: number,
  done: (results: readonly OperationResult[]) => void,
): void {
  const refused = request.transactional ? transactionalRefusal(kind, payload) : badBatch(kind, request);
  if (refused !== undefined) {
    done(request.items.map(() => refused));
    return;
  }
  new ManyRun(node, request.items, deadlineMs, done).advance();
}

/** One bad item refuses a whole set-many; elsewhere it fails alone. */
function badBatch(kind: ManyKind, request: ManyRequest): OperationResult | undefined {
  return kind === 'set' && !request.items.every(isValidOperation) ? invalidInput() : undefined;
}

/** Only delete-many can belong to a session, if it says so in full (grpc §4.2); and no session is known here. */
function transactionalRefusal(kind: ManyKind, payload: Uint8Array): OperationResult {
  return kind === 'delete' && isRegisteredDelete(payload) ? refusal(ResponseType.Aborted) : invalidInput();
}

function isRegisteredDelete(payload: Uint8Array): boolean {
  const request = keyValueMessages.GrpcTryDeleteManyKeyValueRequest.decode(payload);
  const operationId = request.OperationIdHigh !== undefined && request.OperationIdLow !== undefined;
  if (!request.CoordinatorKey || !operationId || (request.OperationIdHigh === 0n && request.OperationIdLow === 0n)) return false;
  const [first] = request.Items;
  return request.Items.every(
    item =>
      item.TransactionIdNode === first?.TransactionIdNode &&
      item.TransactionIdPhysical === first.TransactionIdPhysical &&
      item.TransactionIdCounter === first.TransactionIdCounter,
  );
}

/** Runs the items window after window. */
class ManyRun implements ResultSink {
  private readonly node: KahunaNode;
  private readonly items: readonly RequestedOperation[];
  private readonly deadlineMs: number;
  private readonly done: (results: readonly OperationResult[]) => void;
  private readonly results: OperationResult[] = [];
  private outstanding = 0;
  /** Of the values read so far. */
  private bytes = 0;

  constructor(
    node: KahunaNode,
    items: readonly RequestedOperation[],
    deadlineMs: number,
    done: (results: readonly OperationResult[]) => void,
  ) {
    this.node = node;
    this.items = items;
    this.deadlineMs = deadlineMs;
    this.done = done;
  }

  advance(): void {
    while (this.outstanding === 0 && !this.isTooLarge && this.results.length < this.items.length) this.submitWindow();
    if (this.outstanding > 0) return;
    this.done(this.isTooLarge ? this.items.map(() => TOO_LARGE) : this.results);
  }

  /** What follows need not be read: the answer is refused whatever it holds. */
  private get isTooLarge(): boolean {
    return this.bytes > MAX_MANY_BYTES;
  }

  private submitWindow(): void {
    const start = this.results.length;
    const end = windowEnd(this.items, start);
    const admitted: { readonly operation: Operation; readonly index: number }[] = [];
    for (let index = start; index < end; index++) {
      const operation = this.items[index] as RequestedOperation;
      this.results.push(PENDING);
      if (isValidOperation(operation)) admitted.push({ operation, index });
      else this.results[index] = invalidInput();
    }
    this.outstanding = admitted.length;
    for (const { operation, index } of admitted) this.node.submit(operation, this, index, this.deadlineMs);
  }

  complete(index: number, result: OperationResult): void {
    this.bytes += result.value?.length ?? 0;
    this.results[index] = this.isTooLarge ? TOO_LARGE : result;
    this.outstanding -= 1;
    this.advance();
  }
}

const TOO_LARGE: OperationResult = Object.freeze(refusal(ResponseType.Errored));
/** Holds the place of a result that is on its way; never sent. */
const PENDING: OperationResult = Object.freeze(refusal(ResponseType.Errored));

/** The encoded response. */
export function encodeMany(
  kind: ManyKind,
  request: ManyRequest,
  results: readonly OperationResult[],
  elapsedMs: number,
  hints: RouteHints,
): Uint8Array {
  const writer = new ReverseWriter();
  const start = writer.mark;
  writeManyResponse(writer, kind, request, results, elapsedMs, hints.table(results));
  return writer.since(start);
}

/** The encoded response in which every item has the same refusal. */
export function encodeManyRefusal(kind: ManyKind, request: ManyRequest, type: ResponseType, hints: RouteHints): Uint8Array {
  const refused = refusal(type);
  return encodeMany(
    kind,
    request,
    request.items.map(() => refused),
    0,
    hints,
  );
}
