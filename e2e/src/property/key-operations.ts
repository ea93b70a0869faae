import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { type Answer, Ephemeral, Flag, type Hlc, type KvApi, Persistent, type Row, Type } from '../clients/kv-api.ts';
import type { ScanApi, ScanPage } from '../clients/scan-api.ts';
import { HANGS_MS, until } from '../harness/processes.ts';
import {
  type At,
  bucketOf,
  compareTimes,
  type Expected,
  INVALID_INPUT,
  isBadKey,
  KeyModel,
  type SetFields,
} from './key-model.ts';

/** One way to the server: a transport to one node, or the client library. */
export interface Surface {
  readonly name: string;
  readonly kv: KvApi;
  readonly scans: ScanApi;
  /** It has all that the contract has. The client library lacks what programs do not need; that goes another way. */
  readonly complete: boolean;
}

/** A read's time as a position among the stamps that were seen so far, so that a shorter history still means something. */
type When = 'latest' | { readonly revision: number } | { readonly seen: number; readonly before: boolean };

type Fields = Omit<SetFields, 'durability'>;

export type KeyOperation = { readonly via: number; readonly durability: number } & (
  | ({ readonly kind: 'set' } & Fields)
  | { readonly kind: 'get' | 'exists'; readonly key: string; readonly at: When }
  | { readonly kind: 'delete' | 'lapse'; readonly key: string }
  | { readonly kind: 'extend'; readonly key: string; readonly expiresMs: number }
  | { readonly kind: 'set-many'; readonly items: readonly Fields[] }
  | { readonly kind: 'fill'; readonly key: string }
  | { readonly kind: 'get-many' | 'exists-many'; readonly items: readonly { key: string; revision: number }[]; readonly at: When }
  | { readonly kind: 'delete-many'; readonly keys: readonly string[] }
  | { readonly kind: 'bucket' | 'prefix'; readonly name: string; readonly at: When }
  | {
      readonly kind: 'range';
      readonly name: string;
      readonly start: string | undefined;
      readonly startInclusive: boolean;
      readonly end: string | undefined;
      readonly endInclusive: boolean;
      readonly limit: number;
      readonly at: When;
    }
);

/** `~` stands for what is the run's own. */
const KEYS = ['~a/1', '~a/2', '~a/10', '~a/', '~a/x/1', '~a', '~ab/1', '~b/😀', '~b/\uE000', '~b/Z', '~b/z'];
const SPACES = ['~a', '~a/', '~a/x', '~b', '~ab', '~none'];
const PREFIXES = ['~', '~a', '~a/', '~b/', '~b/\uD83D\uDE00', '~none'];
const REFUSED = ['', '__kahuna:x'];
const LONG_MS = 3_600_000;
/** More sets than an ephemeral key remembers. */
const FILL = 18;

/** Most of a list is about two keys, so that they come to have a history; the others are there for the scans. */
const goodKey = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('~a/1', '~b/😀') },
  { weight: 1, arbitrary: fc.constantFrom(...KEYS) },
);
const key = fc.oneof({ weight: 40, arbitrary: goodKey }, { weight: 1, arbitrary: fc.constantFrom(...REFUSED) });
const value = fc.constantFrom(null, '', 'x', 'y').map(text => (text === null ? null : Buffer.from(text)));
const revision = fc.integer({ min: -2, max: 6 });
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1) },
  {
    weight: 6,
    arbitrary: fc.constantFrom(Flag.NoRevision, Flag.IfExists, Flag.IfNotExists, Flag.CompareValue, Flag.CompareRevision),
  },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 255 }) },
);
const expiresMs = fc.constantFrom(0, 0, 0, LONG_MS, 2_147_483_647, -1);
const fields = fc.record({ key, value, flags, compareValue: value, compareRevision: revision, expiresMs });
const seen = fc.record({ seen: fc.nat({ max: 40 }), before: fc.boolean() });
const at = fc.oneof(
  { weight: 3, arbitrary: fc.constant('latest' as const) },
  { weight: 3, arbitrary: fc.record({ revision: fc.integer({ min: 0, max: 6 }) }) },
  { weight: 4, arbitrary: seen },
);
const time = fc.oneof(fc.constant('latest' as const), seen);
const bound = fc.option(fc.constantFrom(...KEYS), { nil: undefined });
const spaces = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...SPACES) },
  { weight: 1, arbitrary: fc.constantFrom(...REFUSED) },
);
const prefixes = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...PREFIXES) },
  { weight: 1, arbitrary: fc.constantFrom(...REFUSED) },
);

const route = {
  via: fc.nat({ max: 999 }),
  durability: fc.oneof({ weight: 2, arbitrary: fc.constant(Persistent) }, { weight: 1, arbitrary: fc.constant(Ephemeral) }),
};

export const keyOperation: fc.Arbitrary<KeyOperation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ ...route, kind: fc.constant('set' as const) }).chain(head => fields.map(set => ({ ...head, ...set }))),
  },
  { weight: 6, arbitrary: fc.record({ ...route, kind: fc.constantFrom('get' as const, 'exists' as const), key, at }) },
  { weight: 3, arbitrary: fc.record({ ...route, kind: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ ...route, kind: fc.constant('extend' as const), key, expiresMs }) },
  { weight: 1, arbitrary: fc.record({ ...route, kind: fc.constant('lapse' as const), key: goodKey }) },
  {
    weight: 2,
    arbitrary: fc.record({ ...route, kind: fc.constant('set-many' as const), items: fc.array(fields, { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ ...route, kind: fc.constant('fill' as const), key: goodKey }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ ...route, kind: fc.constantFrom('get-many' as const, 'exists-many' as const), at: time },
      items: fc.array(fc.record({ key, revision: fc.oneof(fc.constant(-1), revision) }), { maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ ...route, kind: fc.constant('delete-many' as const), keys: fc.array(key, { maxLength: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ ...route, kind: fc.constant('bucket' as const), name: spaces, at: time }) },
  { weight: 2, arbitrary: fc.record({ ...route, kind: fc.constant('prefix' as const), name: prefixes, at: time }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ ...route, kind: fc.constant('range' as const), name: spaces, start: bound, startInclusive: fc.boolean() },
      ...{ end: bound, endInclusive: fc.boolean(), limit: fc.constantFrom(1, 2, 3, 100, 0, -1), at: time },
    }),
  },
);

/** One list of operations against the server and the model, from keys that nobody has used. */
export class KeyRun {
  private readonly surfaces: readonly Surface[];
  private readonly own: string;
  private readonly model = new KeyModel();
  /** Every time that an answer told. */
  private readonly stamps: Hlc[] = [];

  constructor(surfaces: readonly Surface[], own: string) {
    this.surfaces = surfaces;
    this.own = own;
  }

  /** Throws where an answer is not what the model says. */
  async run(operations: readonly KeyOperation[]): Promise<void> {
    for (const [i, operation] of operations.entries()) {
      const surface = this.surfaceOf(operation);
      try {
        await this.step(surface, operation);
      } catch (error) {
        throw new Error(
          `operation ${i}, ${operation.kind} over ${surface.name}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  }

  private surfaceOf(operation: KeyOperation): Surface {
    const chosen = this.surfaces[operation.via % this.surfaces.length] as Surface;
    if (chosen.complete || isInLibrary(operation)) return chosen;
    const complete = this.surfaces.filter(surface => surface.complete);
    return complete[operation.via % complete.length] as Surface;
  }

  private name(generated: string): string {
    return generated.replace('~', this.own);
  }

  /** undefined: no answer has told a time yet. */
  private when(at: When): At | undefined {
    if (at === 'latest' || 'revision' in at) return at;
    const stamp = this.stamps[at.seen % Math.max(1, this.stamps.length)];
    if (stamp === undefined) return undefined;
    return {
      time: at.before ? { n: 0, l: stamp.c > 0 ? stamp.l : stamp.l - 1, c: stamp.c > 0 ? stamp.c - 1 : 0xffff_ffff } : stamp,
    };
  }

  private async step({ kv, scans, complete }: Surface, operation: KeyOperation): Promise<void> {
    const { model } = this;
    const { durability } = operation;
    switch (operation.kind) {
      case 'set': {
        const set = this.fields(operation, durability);
        const answer = await kv.set(set);
        compare(answer, model.set(set, this.stamp(answer)));
        return;
      }
      case 'get':
      case 'exists': {
        const at = this.when(operation.at) ?? 'latest';
        const request = { key: this.name(operation.key), durability, ...asked(at) };
        compare(await kv[operation.kind](request), model[operation.kind](durability, request.key, at));
        return;
      }
      case 'delete': {
        const request = { key: this.name(operation.key), durability };
        const answer = await kv.delete(request);
        compare(answer, model.delete(durability, request.key, this.stamp(answer)));
        return;
      }
      case 'extend': {
        const request = { key: this.name(operation.key), durability, expiresMs: operation.expiresMs };
        const answer = await kv.extend(request);
        compare(answer, model.extend(durability, request.key, request.expiresMs, this.stamp(answer)));
        return;
      }
      case 'lapse': {
        const request = { key: this.name(operation.key), durability };
        const answer = await kv.extend({ ...request, expiresMs: 1 });
        compare(answer, model.extend(durability, request.key, 1, this.stamp(answer)));
        await until('the expiry', HANGS_MS, async () => (await kv.get(request)).type === Type.DoesNotExist);
        model.lapse(durability, request.key);
        return;
      }
      case 'fill':
      case 'set-many': {
        const items = operation.kind === 'fill' ? this.fill(operation.key, durability) : this.items(operation.items, durability);
        const rows = await kv.setMany(items);
        const refused = items.some(item => model.isRefused(item));
        compareRows(
          rows,
          items.map((item, i) => (refused ? INVALID_INPUT : model.set(item, this.stamp(rows[i])))),
          items,
        );
        return;
      }
      case 'get-many':
      case 'exists-many': {
        const at = this.when(operation.at) ?? 'latest';
        const items = operation.items.map(item => ({
          key: this.name(item.key),
          revision: complete ? item.revision : -1,
          durability,
        }));
        const time = typeof at === 'object' && 'time' in at ? at.time : undefined;
        const rows = operation.kind === 'get-many' ? await kv.getMany(items, time) : await kv.existsMany(items, time);
        const read = operation.kind === 'get-many' ? 'get' : 'exists';
        const wanted = items.map(({ key: asked, revision: n }) => model[read](durability, asked, n >= 0 ? { revision: n } : at));
        compareRows(rows, wanted, items);
        return;
      }
      case 'delete-many': {
        const items = operation.keys.map(generated => ({ key: this.name(generated), durability }));
        const rows = await kv.deleteMany(items);
        compareRows(
          rows,
          items.map((item, i) => model.delete(durability, item.key, this.stamp(rows[i]))),
          items,
        );
        return;
      }
      case 'bucket':
      case 'prefix': {
        const at = this.when(operation.at) ?? 'latest';
        const prefixKey = this.name(operation.name);
        const request = { prefixKey, durability, ...asked(at) };
        const page = operation.kind === 'bucket' ? await scans.bucket(request) : await scans.scanAll(request);
        const covers = operation.kind === 'bucket' ? inSpace(prefixKey) : (candidate: string) => candidate.startsWith(prefixKey);
        this.comparePages([page], prefixKey, model.scan(durability, at, covers));
        return;
      }
      case 'range': {
        const { startInclusive, endInclusive, limit } = operation;
        const at = this.when(operation.at) ?? 'latest';
        const prefix = this.name(operation.name);
        const startKey = operation.start === undefined ? undefined : this.name(operation.start);
        const endKey = operation.end === undefined ? undefined : this.name(operation.end);
        const pages = await scans.pages({
          ...{ prefix, durability, startInclusive, endInclusive, limit, ...asked(at) },
          ...(startKey === undefined ? {} : { startKey }),
          ...(endKey === undefined ? {} : { endKey }),
        });
        const inside = (candidate: string): boolean =>
          (startKey === undefined || candidate > startKey || (startInclusive && candidate === startKey)) &&
          (endKey === undefined || candidate < endKey || (endInclusive && candidate === endKey));
        const member = inSpace(prefix);
        if (complete && limit > 0)
          for (const page of pages) if (page.rows.length > limit) throw new Error('a page over its limit');
        // A stream over an empty prefix has no page at all (grpc §7.2).
        if (prefix === '' && pages.length === 0) return;
        this.comparePages(
          pages,
          prefix,
          model.scan(durability, at, candidate => member(candidate) && inside(candidate)),
        );
        return;
      }
    }
  }

  private fields(generated: Fields, durability: number): SetFields {
    return { ...generated, key: this.name(generated.key), durability };
  }

  private items(generated: readonly Fields[], durability: number): SetFields[] {
    return generated.map(item => this.fields(item, durability));
  }

  private fill(generated: string, durability: number): SetFields[] {
    const set = { key: this.name(generated), durability, flags: 1, compareValue: null, compareRevision: 0, expiresMs: 0 };
    return Array.from({ length: FILL }, (_, i) => ({ ...set, value: Buffer.from(String(i)) }));
  }

  private stamp(answer: Answer | undefined): Hlc {
    if (answer?.lastModified === undefined) throw new Error('an answer is missing');
    if (answer.lastModified.l !== 0 && answer.type !== Type.NotSet) this.stamps.push(answer.lastModified);
    return answer.lastModified;
  }

  private comparePages(pages: readonly ScanPage[], prefix: string, wanted: ReturnType<KeyModel['scan']>): void {
    const types = [...new Set(pages.map(page => page.type))];
    const type = isBadKey(prefix) ? Type.InvalidInput : wanted === 'Aborted' ? Type.Aborted : Type.Get;
    if (!isDeepStrictEqual(types, [type])) throw new Error(`pages of type ${types.join()}, not ${type}`);
    const rows = pages.flatMap(page => page.rows.map(({ key: name, value: bytes, revision: n }) => [name, String(bytes), n]));
    const expected =
      type === Type.Get && wanted !== 'Aborted' ? wanted.map(row => [row.key, String(row.value), row.revision]) : [];
    if (!isDeepStrictEqual(rows, expected)) throw new Error(`rows ${JSON.stringify(rows)}, not ${JSON.stringify(expected)}`);
  }
}

const inSpace = (prefix: string): ((key: string) => boolean) => {
  const space = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  return candidate => bucketOf(candidate) === space;
};

const asked = (at: At): { revision?: number; readTimestamp?: Hlc } => {
  if (at === 'latest') return {};
  return 'revision' in at ? { revision: at.revision } : { readTimestamp: at.time };
};

/** The client library sends no flag that means nothing, no lifetime that is none, and one durability and time per many-call. */
function isInLibrary(operation: KeyOperation): boolean {
  switch (operation.kind) {
    case 'set-many':
      return operation.items.every(item => !isBadKey(item.key) && item.expiresMs >= 0);
    case 'get-many':
      return operation.at === 'latest' && operation.items.every(item => !isBadKey(item.key));
    case 'exists-many':
      return operation.at === 'latest' && operation.items.every(item => !isBadKey(item.key));
    case 'delete-many':
      return operation.keys.every(name => !isBadKey(name));
    default:
      return true;
  }
}

/** Whatever the answer tells is as expected. */
function compare(got: Answer, wanted: Expected): void {
  for (const member of ['type', 'revision', 'value', 'expires', 'lastModified'] as const) {
    const present = got[member];
    if (present === undefined) continue;
    if (member === 'value' && wanted.type !== Type.Get && present === null) continue;
    // Answers of writes say nothing of expiry; the transports fill it with zero.
    if (member === 'expires' && WRITES.has(wanted.type)) continue;
    if (member === 'lastModified' && wanted.type === Type.Set) continue;
    const same = isTime(present)
      ? compareTimes(present, wanted[member] as Hlc) === 0
      : isDeepStrictEqual(present, wanted[member]);
    if (!same) throw new Error(`${member} ${show(present)}, not ${show(wanted[member])}: ${JSON.stringify(got)}`);
  }
}

const WRITES: ReadonlySet<number> = new Set([Type.Set, Type.NotSet, Type.Deleted, Type.Extended]);
const isTime = (member: unknown): member is Hlc => typeof member === 'object' && member !== null && 'l' in member;
const show = (member: unknown): string => (Buffer.isBuffer(member) ? JSON.stringify(member.toString()) : JSON.stringify(member));

function compareRows(rows: readonly Row[], wanted: readonly Expected[], items: readonly { readonly key: string }[]): void {
  const keys = rows.map(row => row.key);
  const askedFor = items.map(item => item.key);
  if (!isDeepStrictEqual(keys, askedFor)) throw new Error(`rows of ${keys.join()}, not of ${askedFor.join()}`);
  for (const [i, row] of rows.entries()) compare(row, wanted[i] as Expected);
}
