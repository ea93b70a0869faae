import type { Duration, Expiring } from './deadlines.ts';
import type { Endpoint } from './endpoints.ts';
import { ClientClosedError, DeadlineExceededError } from './errors.ts';
import type { CallOptions, RepeatWrites } from './options.ts';
import type { Routes } from './routes.ts';
import type { Connection, Reply, TransportFailure } from './transport.ts';

/** What may be done with a request again, by its kind. */
export interface Traits {
  /** For messages. */
  readonly name: string;
  /** It changes something. */
  readonly write: boolean;
  /** A repetition changes nothing more than the first execution did: the server recognises it. */
  readonly harmless: boolean;
  /** How often it is sent while the server answers MUST_RETRY (grpc §9.3), or `forMs` instead. */
  readonly attempts: number;
  /** Go on for this long after the first refusal. Milliseconds, 0 = `attempts` counts. */
  readonly forMs: number;
  /** Pauses after the first, second, … refusal; the last one stands for all further ones. Milliseconds. */
  readonly pausesMs: readonly number[];
}

const POINT_PAUSES_MS = [1, 2, 3, 4];
const LOCK_PAUSES_MS = [1, 2, 3, 4, 6, 8, 10];
const POINT = { attempts: 5, forMs: 0, pausesMs: POINT_PAUSES_MS };
const LOCK = { attempts: 1, forMs: 30_000, pausesMs: LOCK_PAUSES_MS };

/** Who carries calls through: sends them, and decides what follows from an answer, a refusal and a failure. */
export interface Carrier {
  begin<R>(call: Call<R>, options: CallOptions | undefined): void;
  answered<R>(call: Call<R>, response: R, by: Endpoint): void;
  refused(call: Call<unknown> | Call<never>): void;
  failed(call: Call<unknown> | Call<never>, failure: TransportFailure): void;
  /** A promise is about to be resolved. */
  succeeded(): void;
  /** The call is over, whichever way. */
  ended(call: Call<unknown> | Call<never>): void;
}

/** The kinds of requests. */
export const READ: Traits = { name: 'read', write: false, harmless: true, ...POINT };
export const WRITE: Traits = { name: 'write', write: true, harmless: false, ...POINT };
/** A set with a compare revision: revisions only grow, so a second execution fails its condition. */
export const GUARDED_WRITE: Traits = { name: 'compare-revision set', write: true, harmless: true, ...POINT };
/** The owner's bytes identify the caller, so the server recognises a repetition. */
export const LOCK_CALL: Traits = { name: 'lock call', write: true, harmless: true, ...LOCK };
/** A repeated allocation gets other values at worst, and those of the first are a gap (sequences §9). */
export const ALLOCATION: Traits = { name: 'allocation', write: true, harmless: true, ...POINT };
/** Definitions of sequences: the server waits long enough itself, and a second execution is a second change. */
export const DEFINITION: Traits = { name: 'sequence change', write: true, harmless: false, ...POINT, attempts: 1 };
/** Holds are recognised by holder and time, or by their id. */
export const HOLD_CALL: Traits = { name: 'snapshot hold', write: true, harmless: true, ...POINT };

/**
 * One request from its promise to its settlement. The caller's hot path: one object per request carries its deadline, its
 * abort listener and the reply of its transport, so that nothing else has to be allocated for them.
 */
export abstract class Call<R> implements Reply<R>, Expiring {
  readonly traits: Traits;
  private readonly rejectPromise: (reason: unknown) => void;
  carrier: Carrier | undefined;
  signal: AbortSignal | undefined;
  repeatWrites: RepeatWrites = 'refused';

  /** Where the present or last attempt went. */
  endpoint: Endpoint | undefined;
  /** An attempt is with a transport. */
  underWay = false;
  /** An earlier attempt may have taken effect. */
  inDoubt = false;
  settled = false;
  refusals = 0;
  failures = 0;
  /** Monotonic times of the first refusal, and of the first attempt to send since the last answer that found no way. */
  refusedSinceMs = 0;
  stuckSinceMs = 0;
  lastFailure: TransportFailure | undefined;

  deadlineMs = 0;
  earlier: Expiring | undefined;
  later: Expiring | undefined;
  durations: Duration | undefined;

  constructor(traits: Traits, reject: (reason: unknown) => void) {
    this.traits = traits;
    this.rejectPromise = reject;
  }

  abstract transmit(connection: Connection, timeoutMs: number): void;
  /** Node that is known to be the right one. */
  abstract route(routes: Routes): Endpoint | undefined;
  /** Takes the route hint out of an answer. */
  abstract learn(response: R, routes: Routes, answeredBy: Endpoint): void;
  /** Settles with this answer, or calls `refused`. */
  protected abstract conclude(response: R): void;

  answered(response: R): void {
    if (this.settled) return;
    this.underWay = false;
    const { carrier, endpoint } = this;
    if (carrier !== undefined && endpoint !== undefined) carrier.answered(this, response, endpoint);
    this.conclude(response);
  }

  failed(failure: TransportFailure): void {
    if (this.settled) return;
    this.underWay = false;
    this.carrier?.failed(this, failure);
  }

  /** The server answered MUST_RETRY. */
  protected refused(): void {
    this.carrier?.refused(this);
  }

  /** To be called before the promise is resolved. */
  protected finish(): void {
    this.end();
    this.carrier?.succeeded();
  }

  private end(): void {
    this.settled = true;
    if (this.signal !== undefined) this.signal.removeEventListener('abort', this);
    this.carrier?.ended(this);
  }

  reject(reason: unknown): void {
    if (this.settled) return;
    this.end();
    this.rejectPromise(reason);
  }

  /** The listener of the caller's own signal. */
  handleEvent(): void {
    this.reject(this.signal?.reason);
  }

  expired(): void {
    const unknown = this.traits.write && (this.inDoubt || this.underWay);
    const cause = this.lastFailure && { cause: this.lastFailure };
    this.reject(new DeadlineExceededError(`no answer to a ${this.traits.name} within its time`, unknown, cause));
  }

  closed(): void {
    this.reject(new ClientClosedError(this.traits.write && (this.inDoubt || this.underWay)));
  }

  /** Takes over what the caller of the library said. False where it is over already. */
  prepare(options: CallOptions | undefined): boolean {
    const signal = options?.signal;
    if (signal === undefined) return true;
    this.signal = signal;
    if (signal.aborted) {
      this.handleEvent();
      return false;
    }
    signal.addEventListener('abort', this, { once: true });
    return true;
  }
}
