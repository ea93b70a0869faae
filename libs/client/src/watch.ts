import { sequenceStorageKey } from '@kahuna/range-router';
import { watchMessages as messages, type WatchTarget } from '@kahuna/wire';
import type { Caller } from './caller.ts';
import { InvalidInputError } from './errors.ts';
import type { Durability } from './options.ts';
import { stampAt } from './stamps.ts';
import type { WatchRequest } from './transport.ts';
import type {
  KeyWatchOptions,
  LockChange,
  LockWatchOptions,
  NameWatchOptions,
  SequenceChange,
  Watch,
  WatchedRange,
  Watches,
  WatchOptions,
} from './watch-api.ts';
import { Progress } from './watch-progress.ts';
import { WatchRun } from './watch-run.ts';
import type { AnyChange } from './watch-told.ts';

const PROGRESS_MS = 5000;
type Start = messages.GrpcWatchRequest['Start'];

export class WatchService implements Watches {
  private readonly caller: Caller;
  private readonly durability: Durability;

  /** `durability`: of locks, unless a watch says otherwise. */
  constructor(caller: Caller, durability: Durability) {
    this.caller = caller;
    this.durability = durability;
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

  lock(name: string, options: LockWatchOptions = {}): Watch<LockChange> {
    const durability = options.durability ?? this.durability;
    return this.begin({ $case: 'Lock', Lock: name }, options, name, durability);
  }

  sequence(name: string, options: NameWatchOptions = {}): Watch<SequenceChange> {
    return this.begin({ $case: 'Sequence', Sequence: name }, options, sequenceStorageKey(name.trim()));
  }

  private begin<C extends AnyChange>(
    target: WatchTarget,
    options: KeyWatchOptions,
    near: string,
    durability: Durability = 'persistent',
  ): Watch<C> {
    const start = startOf(options);
    const requestAt = (Position: string | undefined): WatchRequest => ({
      Target: target,
      Start: Position === undefined ? start : { $case: 'Position', Position },
      ProgressMs: options.progressMs ?? PROGRESS_MS,
      Durability:
        durability === 'ephemeral' ? messages.GrpcWatchDurability.WATCH_EPHEMERAL : messages.GrpcWatchDurability.WATCH_PERSISTENT,
    });
    const after = typeof options.after === 'string' ? options.after : undefined;
    return new ResumingWatch<C>(
      this.caller,
      requestAt,
      new Progress(target, after, start?.$case === 'FromRevision'),
      options.signal,
      near,
    );
  }
}

/** See {@link Watch}. */
class ResumingWatch<C extends AnyChange> implements Watch<C> {
  readonly started: Promise<void>;
  private readonly caller: Caller;
  private readonly requestAt: (position: string | undefined) => WatchRequest;
  private readonly progress: Progress;
  private readonly signal: AbortSignal | undefined;
  private readonly near: string;
  private onStarted: () => void = () => undefined;
  private onFailed: (reason: unknown) => void = () => undefined;

  constructor(
    caller: Caller,
    requestAt: (position: string | undefined) => WatchRequest,
    progress: Progress,
    signal: AbortSignal | undefined,
    near: string,
  ) {
    this.caller = caller;
    this.requestAt = requestAt;
    this.progress = progress;
    this.signal = signal;
    this.near = near;
    this.started = new Promise((resolve, reject) => {
      this.onStarted = resolve;
      this.onFailed = reject;
    });
    // The loop throws the same; nobody has to look at both.
    this.started.catch(() => undefined);
  }

  get position(): string | undefined {
    return this.progress.position;
  }

  [Symbol.asyncIterator](): AsyncIterator<C, void, void> {
    const { caller, progress, signal, near, requestAt, onStarted, onFailed } = this;
    return new WatchRun<C>({ caller, progress, signal, near, requestAt, onStarted, onFailed });
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
