import { type Call, type Carrier, READ } from './call.ts';
import { Deadlines } from './deadlines.ts';
import type { Endpoint, Endpoints } from './endpoints.ts';
import { ClientClosedError, InvalidInputError, OutcomeUnknownError, ProtocolError, UnavailableError } from './errors.ts';
import { MethodCall, type MethodCallParts } from './method-call.ts';
import type { CallOptions, RepeatWrites } from './options.ts';
import { RetryBudget } from './retry-budget.ts';
import { Routes } from './routes.ts';
import { jittered, type Runtime, type Timer } from './runtime.ts';
import type { TransportFailure } from './transport.ts';

/** A request that finds no node to go to is given up after this, whatever its deadline. Milliseconds. */
const STUCK_LIMIT_MS = 5000;
/** A request that breaks this many connections is not tried on another one. */
const MAX_FAILURES = 8;
/** Calls under way at a time; beyond, memory is what gives out next. */
const MAX_CALLS = 200_000;
/** Share of a pause that is left to chance (grpc §9.3). */
const REFUSAL_JITTER = 0.25;
const ROUTES_FRESH_MS = 60_000;
const ROUTES_RETRY_MS = 5000;
const ROUTES_TIMEOUT_MS = 5000;

export interface CallDefaults {
  readonly timeoutMs: number;
  readonly repeatWrites: RepeatWrites;
  readonly learnRoutes: boolean;
}

/**
 * Carries calls through: chooses a node, sends, and decides after a refusal or a failure whether to send again. Transports
 * below it know nothing of repetition, and the API above nothing of nodes.
 */
export class Caller implements Carrier {
  readonly runtime: Runtime;
  private readonly endpoints: Endpoints;
  private readonly defaults: CallDefaults;
  private readonly deadlines: Deadlines;
  private readonly budget = new RetryBudget();
  private readonly routes: Routes | undefined;
  private routesDueMs = Number.NEGATIVE_INFINITY;
  /** Calls that wait for a node to be usable, all woken by one timer. */
  private parked: Call<unknown>[] = [];
  private wake: Timer | undefined;
  private closed = false;

  constructor(endpoints: Endpoints, defaults: CallDefaults, runtime: Runtime) {
    this.endpoints = endpoints;
    this.defaults = defaults;
    this.runtime = runtime;
    this.deadlines = new Deadlines(runtime);
    // With one endpoint there is nothing to choose.
    this.routes = defaults.learnRoutes && endpoints.count > 1 ? new Routes(endpoints) : undefined;
  }

  begin<R>(call: Call<R>, options: CallOptions | undefined): void {
    call.carrier = this;
    if (this.closed) {
      call.reject(new ClientClosedError(false));
      return;
    }
    if (this.deadlines.size >= MAX_CALLS) {
      call.reject(new UnavailableError(`${MAX_CALLS} calls are under way already`));
      return;
    }
    const timeoutMs = options?.timeoutMs ?? this.defaults.timeoutMs;
    if (!(timeoutMs > 0)) {
      call.reject(new InvalidInputError('timeoutMs is above 0'));
      return;
    }
    if (!call.prepare(options)) return;
    call.repeatWrites = options?.repeatWrites ?? this.defaults.repeatWrites;
    const now = this.runtime.monotonicMs();
    this.deadlines.add(call, timeoutMs, now);
    this.dispatch(call as Call<unknown>, undefined, now);
  }

  /** `last`: the node to stay away from, if there is another one. */
  private dispatch(call: Call<unknown>, last: Endpoint | undefined, now = this.runtime.monotonicMs()): void {
    if (call.settled) return;
    if (now >= call.deadlineMs) {
      call.expired();
      return;
    }
    const endpoint = this.endpoints.choose(this.preferred(call, now), last, now);
    if (endpoint === undefined) {
      this.park(call, now);
      return;
    }
    call.endpoint = endpoint;
    call.underWay = true;
    call.transmit(endpoint.connection, call.deadlineMs - now);
  }

  private preferred(call: Call<unknown>, now: number): Endpoint | undefined {
    const { routes } = this;
    if (routes === undefined) return undefined;
    if (now >= this.routesDueMs) this.refreshRoutes(routes, now);
    return call.route(routes);
  }

  /** Asks one node for the whole map, in the background: no request waits for it, and none fails with it. */
  private refreshRoutes(routes: Routes, now: number): void {
    this.routesDueMs = now + ROUTES_RETRY_MS;
    const ignored = (): void => undefined;
    const parts: MethodCallParts<'routing', void> = {
      traits: READ,
      method: 'routing',
      request: { KeySpace: '' },
      route: () => undefined,
      conclude: metadata => {
        if (routes.learn(metadata)) this.routesDueMs = this.runtime.monotonicMs() + jittered(this.runtime, ROUTES_FRESH_MS);
        return undefined;
      },
    };
    const call = new MethodCall(parts, ignored, ignored);
    this.begin(call, { timeoutMs: ROUTES_TIMEOUT_MS });
  }

  /** Every node is being avoided: waits until the first may be tried again. */
  private park(call: Call<unknown>, now: number): void {
    if (call.stuckSinceMs === 0) call.stuckSinceMs = now;
    if (now - call.stuckSinceMs >= STUCK_LIMIT_MS) {
      const cause = call.lastFailure && { cause: call.lastFailure };
      const reason = call.lastFailure ? `: ${call.lastFailure.message}` : '';
      const message = `no endpoint can be reached${reason}`;
      call.reject(call.inDoubt ? new OutcomeUnknownError(message, cause) : new UnavailableError(message, cause));
      return;
    }
    this.parked.push(call);
    this.wake ??= this.runtime.after(this.endpoints.availableInMs(now) + 1, () => this.unpark());
  }

  private unpark(): void {
    this.wake = undefined;
    const calls = this.parked;
    this.parked = [];
    for (const call of calls) this.dispatch(call, undefined);
  }

  // ---- what became of an attempt --------------------------------------------------------------------------------------------

  answered<R>(call: Call<R>, response: R, by: Endpoint): void {
    this.endpoints.succeeded(by);
    call.stuckSinceMs = 0;
    if (this.routes !== undefined) call.learn(response, this.routes, by);
  }

  /** MUST_RETRY: a read did not happen; a write did not, or nobody can say. */
  refused(call: Call<unknown> | Call<never>): void {
    const { traits } = call;
    const now = this.runtime.monotonicMs();
    call.refusals += 1;
    if (call.refusals === 1) call.refusedSinceMs = now;
    call.inDoubt ||= traits.write;
    const allowed = !traits.write || call.repeatWrites !== 'never';
    const more =
      traits.forMs > 0 ? now - call.refusedSinceMs < traits.forMs : call.refusals < traits.attempts && this.budget.take();
    if (!allowed || !more) {
      const message = `the server could not complete the ${traits.name} (asked ${call.refusals} times)`;
      call.reject(call.inDoubt ? new OutcomeUnknownError(message) : new UnavailableError(message));
      return;
    }
    const pauses = traits.pausesMs;
    const pauseMs = pauses[Math.min(call.refusals, pauses.length) - 1] ?? 1;
    const spread = 1 - REFUSAL_JITTER + 2 * REFUSAL_JITTER * this.runtime.random();
    this.runtime.after(pauseMs * spread, () => this.dispatch(call as Call<unknown>, call.endpoint));
  }

  failed(call: Call<unknown> | Call<never>, failure: TransportFailure): void {
    const { endpoint, traits } = call;
    call.lastFailure = failure;
    if (failure.fault !== 'endpoint') {
      const Refusal = failure.fault === 'request' ? InvalidInputError : ProtocolError;
      call.reject(new Refusal(failure.message, { cause: failure }));
      return;
    }
    if (endpoint !== undefined) {
      this.endpoints.failed(endpoint, this.runtime.monotonicMs());
      this.routes?.forget(endpoint);
    }
    if (failure.sent) {
      call.failures += 1;
      call.inDoubt ||= traits.write;
    }
    const mayRepeat = !failure.sent || !traits.write || this.repeats(call);
    if (mayRepeat && call.failures < MAX_FAILURES) {
      this.dispatch(call as Call<unknown>, endpoint);
      return;
    }
    const message = `the connection broke before the ${traits.name} was answered: ${failure.message}`;
    const options = { cause: failure };
    call.reject(call.inDoubt ? new OutcomeUnknownError(message, options) : new UnavailableError(message, options));
  }

  private repeats(call: Call<unknown> | Call<never>): boolean {
    if (call.repeatWrites === 'always') return true;
    return call.repeatWrites === 'refused' && call.traits.harmless;
  }

  /** A node for a walk, which is no single request. Throws an {@link UnavailableError} where none can be used. */
  endpointFor(key: string, last: Endpoint | undefined): Endpoint {
    if (this.closed) throw new ClientClosedError(false);
    const now = this.runtime.monotonicMs();
    const endpoint = this.endpoints.choose(this.routes?.ofKey(key), last, now);
    if (endpoint === undefined) throw new UnavailableError('no endpoint can be reached');
    return endpoint;
  }

  /** undefined: none that this client was given. */
  endpointAt(url: string): Endpoint | undefined {
    return this.endpoints.find(url);
  }

  walkFailed(endpoint: Endpoint): void {
    this.endpoints.failed(endpoint, this.runtime.monotonicMs());
    this.routes?.forget(endpoint);
  }

  succeeded(): void {
    this.budget.succeeded();
  }

  ended(call: Call<unknown> | Call<never>): void {
    this.deadlines.remove(call);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.wake?.cancel();
    this.parked = [];
    for (const call of this.deadlines.all()) call.closed();
    this.deadlines.close();
    this.endpoints.close();
  }
}
