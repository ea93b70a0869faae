import { Caller } from './caller.ts';
import type { KahunaOptions } from './client-options.ts';
import { ClusterService } from './cluster.ts';
import type { Cluster } from './cluster-api.ts';
import { bytes } from './codecs.ts';
import { LockElection } from './election.ts';
import { Endpoint, Endpoints } from './endpoints.ts';
import { InvalidInputError } from './errors.ts';
import { LockKeeper } from './held-lock.ts';
import { StoredKeys } from './keys.ts';
import type { Keys, Snapshots } from './keys-api.ts';
import { LockService } from './locks.ts';
import type { Election, Lock, LockCalls, LockOptions, TryLockOptions } from './locks-api.ts';
import { type Runtime, systemRuntime } from './runtime.ts';
import { NamedSequence } from './sequences.ts';
import type { Sequence } from './sequences-api.ts';
import { SnapshotService } from './snapshots.ts';
import type { Transport } from './transport.ts';
import { WatchService } from './watch.ts';
import type { Watches } from './watch-api.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const CANDIDATE_BYTES = 6;

function endpointsOf(options: KahunaOptions, transport: Transport, runtime: Runtime): Endpoints {
  const urls = typeof options.endpoints === 'string' ? [options.endpoints] : options.endpoints;
  if (urls.length === 0) throw new InvalidInputError('a client needs at least one endpoint');
  const distinct = [...new Set(urls.map(url => (url.endsWith('/') ? url.slice(0, -1) : url)))];
  for (const url of distinct) {
    if (!URL.canParse(url)) throw new InvalidInputError(`an endpoint is a URL such as http://127.0.0.1:2070, not ${url}`);
  }
  return new Endpoints(
    distinct.map(url => new Endpoint(url, transport.connect(url, options.tls))),
    runtime,
  );
}

/** The client without a transport of its own: what `Kahuna` is in Node.js and in browsers alike. */
export class KahunaClient implements AsyncDisposable {
  /** Keys and values as bytes; `keys.as(json<Config>())` has them as anything else. */
  readonly keys: Keys<Uint8Array, Uint8Array | string>;
  readonly snapshots: Snapshots;
  /** The lock service call by call, for tools. */
  readonly locks: LockCalls;
  readonly cluster: Cluster;
  /** What happens to keys, locks and sequences, as it happens. */
  readonly watch: Watches;
  private readonly runtime: Runtime;
  private readonly caller: Caller;
  private readonly service: LockService;
  private readonly keeper: LockKeeper;

  /** @internal */
  constructor(options: KahunaOptions, transport: Transport, runtime: Runtime = systemRuntime) {
    const durability = options.durability ?? 'persistent';
    this.runtime = runtime;
    this.caller = new Caller(
      endpointsOf(options, transport, runtime),
      {
        timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        repeatWrites: options.repeatWrites ?? 'refused',
        learnRoutes: options.learnRoutes ?? true,
      },
      runtime,
    );
    this.keys = new StoredKeys(this.caller, bytes, { durability });
    this.snapshots = new SnapshotService(this.caller);
    this.cluster = new ClusterService(this.caller);
    this.watch = new WatchService(this.caller, durability);
    this.service = new LockService(this.caller, durability);
    this.locks = this.service;
    this.keeper = new LockKeeper(runtime, this.service, this.watch);
  }

  /**
   * Acquires a lock, waiting for another owner to let go, and keeps it until it is released:
   *
   *     await using lock = await kahuna.lock('jobs/nightly');
   *     await work({ signal: lock.signal, fence: lock.fencingToken });
   *
   * The options' `signal` ends the waiting, not the lock. Throws {@link LockBusyError} when `waitMs` is over.
   */
  lock(name: string, options?: LockOptions): Promise<Lock> {
    return this.keeper.lock(name, options);
  }

  /** As `lock` without waiting for another owner: undefined where somebody has it. */
  tryLock(name: string, options?: TryLockOptions): Promise<Lock | undefined> {
    return this.keeper.tryLock(name, options);
  }

  /** Runs `work` under a lock and releases it. What `work` throws is what the caller gets. */
  async withLock<T>(name: string, options: LockOptions, work: (lock: Lock) => Promise<T>): Promise<T> {
    const lock = await this.lock(name, options);
    try {
      return await work(lock);
    } finally {
      await lock.release();
    }
  }

  /** Leader election under that name. `candidate`: how others see this process; random unless given. */
  election(name: string, options: { readonly candidate?: string | undefined } = {}): Election {
    const candidate = options.candidate ?? randomCandidate(this.runtime);
    if (candidate === '' || candidate.includes('\u0000')) throw new InvalidInputError('a candidate has a name without NUL');
    return new LockElection(name, candidate, this.runtime, this.service, this.keeper, this.watch);
  }

  /** A handle on a sequence; asks nobody. */
  sequence(name: string): Sequence {
    return new NamedSequence(name, this.caller);
  }

  /** Ends all connections. Calls under way reject with {@link ClientClosedError}; release locks before. Idempotent. */
  async close(): Promise<void> {
    this.caller.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function randomCandidate(runtime: Runtime): string {
  return `candidate-${Array.from(runtime.randomBytes(CANDIDATE_BYTES), byte => byte.toString(16).padStart(2, '0')).join('')}`;
}
