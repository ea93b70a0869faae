import type { Runtime } from './runtime.ts';
import type { Connection } from './transport.ts';

/** An endpoint that failed is left alone for this long at first, then twice as long each time. Milliseconds. */
const FIRST_BACK_OFF_MS = 100;
const MAX_BACK_OFF_MS = 2000;

/** The same URL however it is written: endpoints are compared without case and without a slash at the end (routing §4.1). */
export function normalizedUrl(url: string): string {
  return (url.endsWith('/') ? url.slice(0, -1) : url).toLowerCase();
}

/** One node as this client sees it. */
export class Endpoint {
  readonly url: string;
  readonly connection: Connection;
  /** Failures since the last answer. */
  failures = 0;
  /** Not used before this monotonic time. */
  avoidUntilMs = Number.NEGATIVE_INFINITY;

  constructor(url: string, connection: Connection) {
    this.url = url;
    this.connection = connection;
  }
}

/**
 * Which node takes the next request.
 *
 * A client keeps to one node, drawn at random, until that fails: requests of one moment then travel in one frame. After a
 * failure it moves to another one, also at random, so that the clients of a lost node spread over all others; and it comes
 * back to a failed node only after a pause that grows and has jitter, so that a node that restarts is not met by everybody at once.
 */
export class Endpoints {
  private readonly runtime: Runtime;
  private readonly all: readonly Endpoint[];
  private readonly byUrl: ReadonlyMap<string, Endpoint>;
  private home: Endpoint;

  constructor(endpoints: readonly Endpoint[], runtime: Runtime) {
    this.runtime = runtime;
    this.all = endpoints;
    this.byUrl = new Map(endpoints.map(endpoint => [normalizedUrl(endpoint.url), endpoint]));
    this.home = this.drawn(endpoints);
  }

  get count(): number {
    return this.all.length;
  }

  find(url: string): Endpoint | undefined {
    return this.byUrl.get(normalizedUrl(url));
  }

  /** `preferred` if it can be used, else any that can, not `last` if there is a choice; undefined if all are being avoided. */
  choose(preferred: Endpoint | undefined, last: Endpoint | undefined, nowMs: number): Endpoint | undefined {
    if (preferred !== undefined && preferred.avoidUntilMs <= nowMs && preferred !== last) return preferred;
    const { home } = this;
    if (home.avoidUntilMs <= nowMs && home !== last) return home;
    const usable = this.all.filter(endpoint => endpoint.avoidUntilMs <= nowMs);
    if (usable.length === 0) return undefined;
    const others = usable.filter(endpoint => endpoint !== last);
    return others.length === 0 ? usable[0] : this.drawn(others);
  }

  /** Milliseconds until some endpoint can be used again. */
  availableInMs(nowMs: number): number {
    return Math.max(0, Math.min(...this.all.map(endpoint => endpoint.avoidUntilMs)) - nowMs);
  }

  succeeded(endpoint: Endpoint): void {
    endpoint.failures = 0;
  }

  /** Many requests fail with one connection: those that come while the endpoint is avoided already say nothing new. */
  failed(endpoint: Endpoint, nowMs: number): void {
    if (endpoint.avoidUntilMs > nowMs) return;
    endpoint.failures += 1;
    const backOffMs = Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (endpoint.failures - 1));
    endpoint.avoidUntilMs = nowMs + backOffMs * (0.5 + this.runtime.random());
    if (endpoint !== this.home) return;
    const others = this.all.filter(other => other.avoidUntilMs <= nowMs);
    if (others.length > 0) this.home = this.drawn(others);
  }

  close(): void {
    for (const endpoint of this.all) endpoint.connection.close();
  }

  private drawn(from: readonly Endpoint[]): Endpoint {
    return from[Math.floor(this.runtime.random() * from.length)] as Endpoint;
  }
}
