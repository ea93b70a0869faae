import { randomBytes } from 'node:crypto';
import type { Clock } from '@kahuna/base';
import {
  type Level,
  OPERATION_LEVEL,
  type OperationKind,
  type OperationReport,
  type OperationRequest,
  type Outcome,
  type Preflight,
} from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import { type Action, actionFor, type Facts } from './actions.ts';
import { isAtLeast } from './levels.ts';
import { ConsoleCalls } from './node-calls.ts';
import type { ConsoleReads } from './reads.ts';

const JOURNAL = 500;
/** A start answers with the end when it comes within this time, else with the running operation. Milliseconds. */
const ANSWER_WITHIN_MS = 8_000;
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
  private startedAtMs: number[] = [];
  private readonly reads: ConsoleReads;
  private readonly calls: ConsoleCalls;
  private readonly clock: Clock;
  private readonly level: Level;

  constructor(node: KahunaNode, reads: ConsoleReads, clock: Clock, level: Level) {
    this.reads = reads;
    this.calls = new ConsoleCalls(node);
    this.clock = clock;
    this.level = level;
  }

  find(id: string): OperationReport | undefined {
    return this.journal.get(id);
  }

  async preflight(request: OperationRequest): Promise<Preflight> {
    const action = actionFor(request);
    const facts = await action.look(this.reads);
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

  /** The same key again is the same operation: a double click or a resend starts nothing twice. */
  start(request: OperationRequest, idempotencyKey: string | undefined): Promise<OperationReport> {
    this.requireLevel(request.kind);
    const known = idempotencyKey === undefined ? undefined : this.byIdempotencyKey.get(idempotencyKey);
    if (known !== undefined) return known;
    this.throttle();
    const id = `op-${randomBytes(4).toString('hex')}`;
    const running = this.run(id, request, actionFor(request));
    if (idempotencyKey !== undefined) remember(this.byIdempotencyKey, idempotencyKey, running);
    return running;
  }

  private async run(id: string, request: OperationRequest, action: Action): Promise<OperationReport> {
    const base = { operationId: id, kind: request.kind, startedMs: Math.round(this.clock.wallMs()) };
    const running: OperationReport = { ...base, state: 'running', outcome: null, text: null, statusText: null, endedMs: null };
    remember(this.journal, id, running);
    const ended = this.execute(action).then(end => {
      const report: OperationReport = { ...base, state: 'ended', ...end, endedMs: Math.round(this.clock.wallMs()) };
      remember(this.journal, id, report);
      return report;
    });
    return Promise.race([ended, after(ANSWER_WITHIN_MS, running)]);
  }

  private async execute(action: Action): Promise<{ outcome: Outcome; text: string; statusText: string | null }> {
    try {
      const facts: Facts = await action.look(this.reads);
      const failed = action.checks(facts, this.clock.wallMs()).find(check => !check.ok);
      if (failed !== undefined) return { outcome: 'refused', text: `${failed.text} Nothing was changed.`, statusText: null };
      const deadline = this.clock.monotonicMs() + OPERATION_WITHIN_MS;
      const result = await this.calls.run(action.operation, deadline);
      return action.end(result);
    } catch (error) {
      return { outcome: 'failed', text: `This node failed: ${String(error)}.`, statusText: null };
    }
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

function after<T>(ms: number, value: T): Promise<T> {
  return new Promise(resolve => setTimeout(() => resolve(value), ms).unref());
}
