import { InvalidInputError, KahunaError, ProtocolError } from './errors.ts';
import type { LockKeeper } from './held-lock.ts';
import type { LockService } from './locks.ts';
import type { CampaignOptions, Election, ElectionView, Leadership, Lock, ObserveOptions } from './locks-api.ts';
import { jittered, pause, type Runtime } from './runtime.ts';
import type { LockChange, Watches } from './watch-api.ts';

const DEFAULT_LEASE_MS = 10_000;
const RETRY_SHARE = 1 / 4;
const DEFAULT_INTERVAL_MS = 1000;
/** Ends the candidate's name inside the owner's bytes; random bytes follow. */
const NAME_END = 0;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The candidate's name out of the owner's bytes of its lock; of a foreign owner, its bytes in hexadecimal. */
function candidateOf(owner: Uint8Array): string {
  const end = owner.indexOf(NAME_END);
  if (end > 0) return decoder.decode(owner.subarray(0, end));
  return Array.from(owner, byte => byte.toString(16).padStart(2, '0')).join('');
}

function isSame(seen: ElectionView | 'nothing yet', view: ElectionView): boolean {
  if (seen === 'nothing yet') return false;
  return seen?.fencingToken === view?.fencingToken && seen?.leader === view?.leader;
}

class LockLeadership implements Leadership {
  private readonly lock: Lock;

  constructor(lock: Lock) {
    this.lock = lock;
  }

  get signal(): AbortSignal {
    return this.lock.signal;
  }

  get fencingToken(): bigint {
    return this.lock.fencingToken;
  }

  get isLeader(): boolean {
    return this.lock.isHeld;
  }

  assertLeader(): void {
    this.lock.assertHeld();
  }

  resign(): Promise<void> {
    return this.lock.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resign();
  }
}

/** Leader election on a lock: its holder leads. */
export class LockElection implements Election {
  readonly name: string;
  readonly candidate: string;
  private readonly runtime: Runtime;
  private readonly service: LockService;
  private readonly keeper: LockKeeper;
  private readonly watches: Watches;

  constructor(name: string, candidate: string, runtime: Runtime, service: LockService, keeper: LockKeeper, watches: Watches) {
    this.name = name;
    this.candidate = candidate;
    this.runtime = runtime;
    this.service = service;
    this.keeper = keeper;
    this.watches = watches;
  }

  async campaign(options: CampaignOptions = {}): Promise<Leadership> {
    const retryMs = options.retryMs ?? (options.leaseMs ?? DEFAULT_LEASE_MS) * RETRY_SHARE;
    const prefix = new Uint8Array([...encoder.encode(this.candidate), NAME_END]);
    const lock = await this.keeper.lock(this.name, { ...options, retryMs, waitMs: Number.POSITIVE_INFINITY }, prefix);
    return new LockLeadership(lock);
  }

  async lead(
    onLeader: (leadership: Leadership) => Promise<void>,
    options: CampaignOptions & { readonly signal: AbortSignal },
  ): Promise<void> {
    const { signal, retryMs = (options.leaseMs ?? DEFAULT_LEASE_MS) * RETRY_SHARE } = options;
    for (;;) {
      const leadership = await this.nextTerm(options);
      if (leadership === undefined) return;
      const resign = (): void => void leadership.resign();
      signal.addEventListener('abort', resign, { once: true });
      try {
        await onLeader(leadership);
      } catch (error) {
        // Work that stops because its term is over has nothing to report.
        if (!leadership.signal.aborted || error !== leadership.signal.reason) throw error;
      } finally {
        signal.removeEventListener('abort', resign);
        await leadership.resign();
      }
      if (signal.aborted) return;
      await pause(this.runtime, jittered(this.runtime, retryMs), signal).catch(() => undefined);
    }
  }

  /** undefined once the signal has fired. */
  private async nextTerm(options: CampaignOptions & { readonly signal: AbortSignal }): Promise<Leadership | undefined> {
    try {
      return await this.campaign(options);
    } catch (error) {
      // Anything else that can pass, `campaign` has waited out already.
      if (options.signal.aborted) return undefined;
      throw error;
    }
  }

  async leader(options: ObserveOptions = {}): Promise<ElectionView> {
    const info = await this.service.info(this.name, options);
    return info && { leader: candidateOf(info.owner), fencingToken: info.fencingToken, expires: info.expires };
  }

  private async look(options: ObserveOptions): Promise<ElectionView | 'no answer'> {
    try {
      return await this.leader(options);
    } catch (error) {
      if (error instanceof KahunaError && error.retryable) return 'no answer';
      throw error;
    }
  }

  async *observe(options: ObserveOptions = {}): AsyncGenerator<ElectionView, void, void> {
    const { intervalMs = DEFAULT_INTERVAL_MS, signal } = options;
    let seen: ElectionView | 'nothing yet' = 'nothing yet';
    for await (const view of this.told(options)) {
      if (!isSame(seen, view)) yield view;
      seen = view;
    }
    for (;;) {
      const view = await this.look(options);
      if (view !== 'no answer') {
        if (!isSame(seen, view)) yield view;
        seen = view;
      }
      await pause(this.runtime, jittered(this.runtime, intervalMs, 0.1), signal);
    }
  }

  /** What a watch of the lock tells; ends where none can be had. */
  private async *told({ durability, signal }: ObserveOptions): AsyncGenerator<ElectionView, void, void> {
    for (;;) {
      try {
        for await (const change of this.watches.lock(this.name, { durability, signal })) yield viewOf(change);
      } catch (error) {
        if (error instanceof InvalidInputError || error instanceof ProtocolError) return;
        if (!(error instanceof KahunaError && error.retryable)) throw error;
      }
    }
  }
}

function viewOf({ held, owner, fencingToken, expires }: LockChange): ElectionView {
  if (!held || owner === undefined || expires === undefined) return undefined;
  return { leader: candidateOf(owner), fencingToken, expires };
}
