import { HLC_ZERO, type Hlc } from '@kahuna/base';
import {
  decodePosition,
  encodePosition,
  watchMessages as messages,
  type WatchPlace as Place,
  type WatchTarget,
} from '@kahuna/wire';
import type { Caller } from './caller.ts';
import type { Endpoint } from './endpoints.ts';
import { HistoryPrunedError, InvalidInputError, ProtocolError, UnavailableError } from './errors.ts';
import { jittered, pause } from './runtime.ts';
import { stampAt, stampOf } from './stamps.ts';
import { TransportFailure, type WatchRequest, type WatchResponse } from './transport.ts';
import type { Change, KeyWatchOptions, Watch, WatchedRange, Watches, WatchOptions } from './watch-api.ts';

const PROGRESS_MS = 5000;
/** Without any node for so long a watch gives up. Milliseconds. */
const PATIENCE_MS = 60_000;
const RETRY_MS = 200;

type Start = messages.GrpcWatchRequest['Start'];

export class WatchService implements Watches {
  private readonly caller: Caller;

  constructor(caller: Caller) {
    this.caller = caller;
  }

  key(key: string, options: KeyWatchOptions = {}): Watch {
    return this.begin({ $case: 'Key', Key: key }, options, key);
  }

  bucket(bucket: string, options: WatchOptions = {}): Watch {
    return this.begin({ $case: 'Bucket', Bucket: bucket }, options, `${bucket}/`);
  }

  prefix(prefix: string, options: WatchOptions = {}): Watch {
    return this.begin({ $case: 'Prefix', Prefix: prefix }, options, prefix);
  }

  range(bucket: string, range: WatchedRange, options: WatchOptions = {}): Watch {
    const Range = {
      Bucket: bucket,
      StartKey: range.start,
      StartInclusive: range.startInclusive ?? true,
      EndKey: range.end,
      EndInclusive: range.endInclusive ?? false,
    };
    return this.begin({ $case: 'Range', Range }, options, `${bucket}/`);
  }

  private begin(target: WatchTarget, options: KeyWatchOptions, near: string): Watch {
    return new ResumingWatch(this.caller, target, options, near);
  }
}

/** A watch that goes on at another node where one is lost. */
class ResumingWatch implements Watch {
  readonly started: Promise<void>;
  private readonly caller: Caller;
  private readonly target: WatchTarget;
  private readonly options: WatchOptions;
  private readonly first: Start;
  /** A key that tells which node is near. */
  private readonly near: string;
  /** Place of what the loop was given last, by partition; undefined until the server has said where the watch begins. */
  private places: Map<number, Place> | undefined;
  private onStarted: () => void = () => undefined;
  private onFailed: (reason: unknown) => void = () => undefined;

  constructor(caller: Caller, target: WatchTarget, options: KeyWatchOptions, near: string) {
    this.caller = caller;
    this.target = target;
    this.options = options;
    this.near = near;
    this.first = startOf(options);
    if (typeof options.after === 'string') this.places = new Map(readPosition(target, options.after));
    this.started = new Promise((resolve, reject) => {
      this.onStarted = resolve;
      this.onFailed = reject;
    });
    // The loop throws the same; nobody has to look at both.
    this.started.catch(() => undefined);
  }

  get position(): string | undefined {
    return this.places === undefined ? undefined : encodePosition(this.target, this.places);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Change, void, void> {
    const { signal } = this.options;
    const { runtime } = this.caller;
    const ended = new AbortController();
    const abort = (): void => ended.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    let endpoint: Endpoint | undefined;
    let heardAt = runtime.monotonicMs();
    try {
      for (;;) {
        ended.signal.throwIfAborted();
        try {
          endpoint = this.caller.endpointFor(this.near, endpoint);
          for await (const response of this.messagesOf(endpoint, ended.signal)) {
            heardAt = runtime.monotonicMs();
            yield* this.changesOf(response);
          }
        } catch (error) {
          ended.signal.throwIfAborted();
          this.mustGoOn(error, endpoint, runtime.monotonicMs() - heardAt);
        }
        await pause(runtime, jittered(runtime, RETRY_MS), ended.signal);
      }
    } catch (error) {
      this.onFailed(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      ended.abort();
    }
  }

  private messagesOf(endpoint: Endpoint, signal: AbortSignal): AsyncIterable<WatchResponse> {
    const { connection } = endpoint;
    if (connection.watch === undefined) throw new InvalidInputError('this transport cannot watch: use gRPC');
    const Position = this.position;
    const request: WatchRequest = {
      Target: this.target,
      Start: Position === undefined ? this.first : { $case: 'Position', Position },
      ProgressMs: this.options.progressMs ?? PROGRESS_MS,
      Durability: messages.GrpcWatchDurability.WATCH_PERSISTENT,
    };
    return connection.watch(request, signal);
  }

  private *changesOf({ Events, Position }: WatchResponse): Iterable<Change> {
    for (const event of Events) {
      const change = changeOf(event);
      // The places advance before the loop has the change: leaving it there must not bring the change again.
      if (!change.initial) this.places?.set(change.partition, placeOf(change));
      yield change;
    }
    if (Position === undefined) return;
    this.places = new Map(readPosition(this.target, Position));
    this.onStarted();
  }

  /** Throws what ends the watch; returns where another attempt may go on. */
  private mustGoOn(error: unknown, endpoint: Endpoint | undefined, silentMs: number): void {
    if (error instanceof UnavailableError) {
      if (silentMs > PATIENCE_MS) throw error;
      return;
    }
    if (!(error instanceof TransportFailure)) throw error;
    switch (error.fault) {
      case 'pruned':
        throw new HistoryPrunedError(error.message, { cause: error });
      case 'request':
        throw new InvalidInputError(error.message, { cause: error });
      case 'protocol':
        throw new ProtocolError(error.message, { cause: error });
      case 'endpoint':
        if (endpoint !== undefined) this.caller.walkFailed(endpoint);
        if (silentMs > PATIENCE_MS) throw new UnavailableError(error.message, { cause: error });
    }
  }
}

function startOf({ initial, after, fromRevision }: KeyWatchOptions): Start {
  if ([initial === true, after !== undefined, fromRevision !== undefined].filter(Boolean).length > 1) {
    throw new InvalidInputError('a watch begins with the present state, behind a position or with a revision');
  }
  if (initial === true) return { $case: 'Initial', Initial: true };
  if (fromRevision !== undefined) {
    if (!Number.isSafeInteger(fromRevision) || fromRevision < 0) throw new InvalidInputError('a revision is 0 or above');
    return { $case: 'FromRevision', FromRevision: BigInt(fromRevision) };
  }
  if (after === undefined || typeof after === 'string') return undefined;
  const { n, l, c } = stampAt(after);
  return { $case: 'After', After: { Node: n, Physical: BigInt(l), Counter: c } };
}

function readPosition(target: WatchTarget, position: string): ReadonlyMap<number, Place> {
  try {
    return decodePosition(target, position);
  } catch (error) {
    throw new InvalidInputError(`not a position of this watch: ${String(error)}`, { cause: error });
  }
}

const KINDS = ['set', 'delete', 'extend', 'expire'] as const;

function changeOf(event: messages.GrpcWatchEvent): Change {
  const kind = KINDS[event.Kind];
  if (kind === undefined) throw new ProtocolError(`a change of kind ${event.Kind}`);
  return {
    kind,
    key: event.Key,
    value: event.Value ?? null,
    revision: Number(event.Revision),
    expires: event.Expires === undefined ? undefined : stampIn(event.Expires),
    stamp: event.Stamp === undefined ? HLC_ZERO : stampIn(event.Stamp),
    partition: event.Partition,
    initial: event.Initial,
    valueGone: event.ValueGone,
  };
}

function stampIn({ Node, Physical, Counter }: messages.GrpcWatchStamp): Hlc {
  return stampOf(Node, Physical, Counter);
}

function placeOf({ kind, key, stamp }: Change): Place {
  return { stamp, key: kind === 'expire' ? key : '' };
}
