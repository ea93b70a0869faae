import { expect } from 'vitest';
import { type Answer, Flag, type Hlc, type KvApi, type SetRequest, Type } from '../clients/kv-api.ts';
import { sleep } from '../harness/processes.ts';

/** What a case works with: the operations over one transport, with keys of its own in one durability. */
export interface Bench {
  readonly api: KvApi;
  readonly durability: number;
  /** A key of this case that no other run of it uses. */
  key(name: string): string;
  set(name: string, value: string | Buffer | null, options?: SetOptions): Promise<Answer>;
  get(name: string, options?: ReadOptions): Promise<Answer>;
  exists(name: string, options?: ReadOptions): Promise<Answer>;
  delete(name: string): Promise<Answer>;
  extend(name: string, expiresMs: number): Promise<Answer>;
}

export interface SetOptions {
  readonly flags?: number;
  readonly compareValue?: string | null;
  readonly compareRevision?: number;
  readonly expiresMs?: number;
}

export interface ReadOptions {
  readonly revision?: number;
  readonly readTimestamp?: Hlc;
}

/** `rawKeys`: names are used as they stand, without a prefix. */
export function bench(api: KvApi, durability: number, prefix: string, rawKeys = false): Bench {
  const key = (name: string): string => (rawKeys ? name : `${prefix}${name}`);
  return {
    api,
    durability,
    key,
    set: (name, value, options = {}) => {
      const request: SetRequest = {
        key: key(name),
        value: typeof value === 'string' ? Buffer.from(value) : value,
        durability,
        flags: options.flags ?? Flag.Set,
        compareValue:
          options.compareValue === undefined || options.compareValue === null ? null : Buffer.from(options.compareValue),
        compareRevision: options.compareRevision ?? 0,
        expiresMs: options.expiresMs ?? 0,
      };
      return api.set(request);
    },
    get: (name, options = {}) => api.get({ key: key(name), durability, ...options }),
    exists: (name, options = {}) => api.exists({ key: key(name), durability, ...options }),
    delete: name => api.delete({ key: key(name), durability }),
    extend: (name, expiresMs) => api.extend({ key: key(name), expiresMs, durability }),
  };
}

/** A lifetime or a lease that ends after no test that does not end it. */
export const LONG_MS = 600_000;
const SOON_MS = 3000;
/** So much longer an end may be in coming: stamps run ahead of the clock after a read of 300 ms ahead (keyvalues:H22). */
const LEAD_MS = 500;

/** Waits until what ends `ms` after an answer that has come is over. */
export const outlive = (ms: number): Promise<void> => sleep(ms + LEAD_MS);

/**
 * What `attempt` comes to within a lifetime that it sets up itself, with names of its own for each. Where the machine stood still for as
 * long, the answer says nothing: then again, with twice the time.
 */
export async function withinLifetime<T>(attempt: (lifetimeMs: number) => Promise<T>): Promise<T> {
  for (let lifetimeMs = SOON_MS; ; lifetimeMs *= 2) {
    const began = performance.now();
    const outcome = await attempt(lifetimeMs);
    if (performance.now() - began < lifetimeMs - LEAD_MS) return outcome;
  }
}

/** One acceptance case of the specification. */
export interface Case {
  /** `<page>:<number>` and what it says. */
  readonly title: string;
  /** Which durabilities it holds for. */
  readonly durabilities: readonly ('P' | 'E')[];
  run(bench: Bench): Promise<void>;
}

const NAMES = new Map<number, string>(Object.entries(Type).map(([name, number]) => [number, name]));

/** An answer as the specification writes it: `Set r0`, `DoesNotExist r-1`, `InvalidInput`. */
export function said(answer: { readonly type: number; readonly revision: number }): string {
  const name = NAMES.get(answer.type) ?? `type ${answer.type}`;
  return answer.type >= Type.Errored && answer.type !== Type.DoesNotExist ? name : `${name} r${answer.revision}`;
}

/** A get as the specification writes it: what was said, and the value behind it. */
export function read(answer: Answer): string {
  if (answer.type !== Type.Get) return answer.value === null ? said(answer) : `${said(answer)} with a value`;
  return `${said(answer)} ${answer.value === null ? 'null' : JSON.stringify(answer.value.toString('latin1'))}`;
}

export async function expectSaid(answer: Promise<Answer>, wanted: string): Promise<Answer> {
  const got = await answer;
  expect(said(got)).toBe(wanted);
  return got;
}

export async function expectRead(answer: Promise<Answer>, wanted: string): Promise<Answer> {
  const got = await answer;
  expect(read(got)).toBe(wanted);
  return got;
}

export const later = (t: Hlc, u: Hlc): boolean => t.l > u.l || (t.l === u.l && (t.c > u.c || (t.c === u.c && t.n > u.n)));

/**
 * The greatest timestamp below `t`. Not the one with the counter before: that of node 0 lies below what another node stamped with this
 * counter, and two writes of one millisecond have neighbouring counters.
 */
export const justBefore = ({ n, l, c }: Hlc): Hlc => {
  if (n > 0) return { n: n - 1, l, c };
  return c > 0 ? { n: 0x7fff_ffff, l, c: c - 1 } : { n: 0x7fff_ffff, l: l - 1, c: 0xffff_ffff };
};
