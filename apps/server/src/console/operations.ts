import { randomBytes } from 'node:crypto';
import type { Clock } from '@kahuna/base';
import {
  type Level,
  OPERATION_LEVEL,
  type OperationKind,
  type OperationReport,
  type OperationRequest,
  type Preflight,
} from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import type { Action, Ending, Facts, LongWork, World } from './action.ts';
import { actionFor } from './actions.ts';
import { isAtLeast } from './levels.ts';
import { ConsoleCalls } from './node-calls.ts';
import type { ConsoleReads } from './reads.ts';
import type { ClusterView } from './view.ts';

const JOURNAL = 500;
/** A start answers with the end when it comes within this time, else with the running operation. Milliseconds. */
const ANSWER_WITHIN_MS = 8_000;
/** Where the end may be far away, its beginning is the answer. Milliseconds. */
const LONG_ANSWER_WITHIN_MS = 500;
const OPERATION_WITHIN_MS = 10_000;
/** Starts per second and node (console §14). */
const STARTS_PER_SECOND = 10;

export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Operator actions: looked at first, started once, ended with one of five words, and remembered (console §7). */
export class Operations {
  private readonly journal = new Map<string, OperationReport>();
  private readonly byIdempotencyKey = new Map<string, Promise<OperationReport>>();
  private readonly stops = new Map<string, AbortController>();
  private startedAtMs: number[] = [];
  private readonly node: KahunaNode;
  private readonly world: World;
  private readonly calls: ConsoleCalls;
  private readonly clock: Clock;
  private readonly level: Level;
  private readonly changed: () => void;

  /**
   * `view`: the newest view of the cluster. `changed`: an operation began or ended; progress is not news: it is found by whoever looks.
   */
  constructor(node: KahunaNode, reads: ConsoleReads, view: () => ClusterView, clock: Clock, level: Level, changed: () => void) {
    this.node = node;
    this.world = { node, reads, view, mono: () => clock.monotonicMs() };
    this.calls = new ConsoleCalls(node);
    this.clock = clock;
    this.level = level;
    this.changed = changed;
  }

  find(id: string): OperationReport | undefined {
    return this.journal.get(id);
  }

  /** Everything that is remembered, oldest first. */
  all(): readonly OperationReport[] {
    return [...this.journal.values()];
  }

  async preflight(request: OperationRequest): Promise<Preflight> {
    const action = actionFor(request);
    const facts = await action.look(this.world);
    const nowMs = this.clock.wallMs();
    const checks = [this.levelCheck(request.kind), ...action.checks(facts, nowMs)];
    const risk = action.risk(facts, nowMs);
    return {
      allowed: checks.every(check => check.ok),
      checks,
      effects: action.effects(facts),
      risk,
      phrase: risk === 'high' ? action.subject : null,
      cli: action.cli,
      curl: action.curl,
    };
  }

  /** The same key again is the same operation: a double click or a resend starts nothing twice. `from`: who asks, for the journal. */
  start(request: OperationRequest, idempotencyKey: string | undefined, from: string): Promise<OperationReport> {
    this.requireLevel(request.kind);
    const known = idempotencyKey === undefined ? undefined : this.byIdempotencyKey.get(idempotencyKey);
    if (known !== undefined) return known;
    this.throttle();
    const running = this.begin(request, actionFor(request), from);
    if (idempotencyKey !== undefined) remember(this.byIdempotencyKey, idempotencyKey, running);
    return running;
  }

  /** Asks a running operation to stop; it ends in its own time. undefined: this node knows no such operation. */
  cancel(id: string): OperationReport | undefined {
    const report = this.journal.get(id);
    if (report === undefined) return undefined;
    this.requireLevel(report.kind);
    const stop = this.stops.get(id);
    if (stop === undefined) throw new Refusal(409, 'it has ended, or cannot be stopped');
    stop.abort();
    return this.revise(id, { canCancel: false });
  }

  private begin(request: OperationRequest, action: Action, from: string): Promise<OperationReport> {
    const id = `op-${randomBytes(4).toString('hex')}`;
    const stop = 'run' in action ? new AbortController() : undefined;
    if (stop !== undefined) this.stops.set(id, stop);
    const running: OperationReport = {
      operationId: id,
      kind: request.kind,
      subject: action.subject,
      durability: action.durability,
      from,
      state: 'running',
      progress: null,
      canCancel: stop !== undefined,
      outcome: null,
      text: null,
      statusText: null,
      checks: [],
      startedMs: this.wall(),
      endedMs: null,
      source: this.node.facts().nodeId,
    };
    this.journal.set(id, running);
    this.forgetOldest();
    this.changed();
    const ended = this.execute(id, action, stop?.signal).then(end => {
      this.stops.delete(id);
      return this.revise(id, { ...end, state: 'ended', canCancel: false, endedMs: this.wall() });
    });
    const answerWithin = 'run' in action ? LONG_ANSWER_WITHIN_MS : ANSWER_WITHIN_MS;
    return Promise.race([ended, after(answerWithin).then(() => this.journal.get(id) ?? running)]);
  }

  /** What runs is never forgotten. */
  private forgetOldest(): void {
    if (this.journal.size <= JOURNAL) return;
    const oldest = [...this.journal.values()].find(report => report.state === 'ended');
    if (oldest !== undefined) this.journal.delete(oldest.operationId);
  }

  private revise(id: string, change: Partial<OperationReport>): OperationReport {
    const report = { ...(this.journal.get(id) as OperationReport), ...change };
    this.journal.set(id, report);
    if (change.progress === undefined) this.changed();
    return report;
  }

  private async execute(id: string, action: Action, signal: AbortSignal | undefined): Promise<Ending> {
    try {
      const facts: Facts = await action.look(this.world);
      const checks = action.checks(facts, this.clock.wallMs());
      this.revise(id, { checks });
      const failed = checks.find(check => !check.ok);
      if (failed !== undefined) return { outcome: 'refused', text: `${failed.text} Nothing was changed.`, statusText: null };
      if ('run' in action) return await action.run(facts, this.longWork(id, signal as AbortSignal));
      return action.end(await this.calls.run(action.operation, this.clock.monotonicMs() + OPERATION_WITHIN_MS));
    } catch (error) {
      return { outcome: 'failed', text: `This node failed: ${String(error)}.`, statusText: null };
    }
  }

  private longWork(id: string, signal: AbortSignal): LongWork {
    return {
      ...this.world,
      calls: this.calls,
      signal,
      progress: (done, total) => this.revise(id, { progress: { done, total } }),
      pause: after,
    };
  }

  private wall(): number {
    return Math.round(this.clock.wallMs());
  }

  private levelCheck(kind: OperationKind): { id: string; ok: boolean; text: string } {
    const wanted = OPERATION_LEVEL[kind];
    const ok = isAtLeast(this.level, wanted);
    return {
      id: 'level',
      ok,
      text: ok ? `Level ${this.level} may do this.` : `Needs ${wanted}; this console is open at ${this.level}.`,
    };
  }

  private requireLevel(kind: OperationKind): void {
    const { ok, text } = this.levelCheck(kind);
    if (!ok) throw new Refusal(403, text);
  }

  private throttle(): void {
    const now = this.clock.monotonicMs();
    this.startedAtMs = this.startedAtMs.filter(at => now - at < 1000);
    if (this.startedAtMs.length >= STARTS_PER_SECOND)
      throw new Refusal(429, `at most ${STARTS_PER_SECOND} operations per second`);
    this.startedAtMs.push(now);
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  if (map.size <= JOURNAL) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}

function after(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms).unref();
  });
}
