import fc from 'fast-check';
import { Ephemeral, Persistent } from '../clients/kv-api.ts';
import { type LockAnswer, type LockApi, type LockInfo, LockType } from '../clients/lock-api.ts';
import { HANGS_MS, until } from '../harness/processes.ts';

export type LockOperation = {
  readonly via: number;
  readonly durability: number;
  readonly resource: string;
  readonly owner: string;
  readonly expiresMs: number;
  /** `lapse`: the holder's lease is made short, and its end is awaited. */
  readonly kind: 'acquire' | 'extend' | 'unlock' | 'info' | 'lapse';
};

const LONG_MS = 3_600_000;

export const lockOperation: fc.Arbitrary<LockOperation> = fc.record({
  via: fc.nat({ max: 999 }),
  durability: fc.constantFrom(Persistent, Ephemeral),
  resource: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom('~door', '~hall/door') },
    { weight: 1, arbitrary: fc.constant('') },
  ),
  owner: fc.oneof({ weight: 20, arbitrary: fc.constantFrom('A', 'B', 'A\u0000') }, { weight: 1, arbitrary: fc.constant('') }),
  expiresMs: fc.oneof({ weight: 10, arbitrary: fc.constant(LONG_MS) }, { weight: 1, arbitrary: fc.constantFrom(0, -1) }),
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constant('acquire' as const) },
    { weight: 3, arbitrary: fc.constant('extend' as const) },
    { weight: 4, arbitrary: fc.constant('unlock' as const) },
    { weight: 3, arbitrary: fc.constant('info' as const) },
    { weight: 1, arbitrary: fc.constant('lapse' as const) },
  ),
});

interface ModelLock {
  /** '': released. */
  owner: string;
  token: number;
  over: boolean;
}

type Told = readonly [type: number, token: number, owner: string | null];
const none = (type: number): Told => [type, 0, null];

/** locks §5, as plainly as possible. */
class LockModel {
  private readonly locks = new Map<string, ModelLock>();

  ask({ kind, durability, resource, owner, expiresMs }: Omit<LockOperation, 'via'>): Told {
    const wantsOwner = kind !== 'info';
    const wantsLease = kind === 'acquire' || kind === 'extend';
    if (resource === '' || (wantsOwner && owner === '') || (wantsLease && expiresMs <= 0)) return none(LockType.InvalidInput);
    const name = `${durability} ${resource}`;
    const lock = this.locks.get(name);
    const live = lock !== undefined && lock.owner !== '' && !lock.over ? lock : undefined;
    switch (kind) {
      case 'acquire': {
        if (live !== undefined) return live.owner === owner ? [LockType.Locked, live.token, null] : none(LockType.Busy);
        const token = (lock?.token ?? -1) + 1;
        this.locks.set(name, { owner, token, over: false });
        return [LockType.Locked, token, null];
      }
      case 'extend':
        if (live === undefined) return none(LockType.LockDoesNotExist);
        return live.owner === owner ? [LockType.Extended, live.token, null] : none(LockType.InvalidOwner);
      case 'unlock':
        if (lock === undefined || lock.owner === '') return none(LockType.LockDoesNotExist);
        if (lock.owner !== owner) return none(LockType.InvalidOwner);
        lock.owner = '';
        return none(LockType.Unlocked);
      case 'info':
        return live === undefined ? none(LockType.LockDoesNotExist) : [LockType.Got, live.token, live.owner];
      case 'lapse':
        throw new Error('a lapse is an extension and a wait');
    }
  }

  lapse(durability: number, resource: string): void {
    const lock = this.locks.get(`${durability} ${resource}`);
    if (lock !== undefined) lock.over = true;
  }
}

/** One list of operations against the server and the model, on locks that nobody has used. */
export async function runLocks(apis: readonly LockApi[], own: string, operations: readonly LockOperation[]): Promise<void> {
  const model = new LockModel();
  for (const [i, generated] of operations.entries()) {
    const api = apis[generated.via % apis.length] as LockApi;
    const operation = { ...generated, resource: generated.resource.replace('~', own) };
    try {
      if (operation.kind === 'lapse') await lapse(api, model, operation);
      else expectTold(await call(api, operation), model.ask(operation));
    } catch (error) {
      throw new Error(
        `operation ${i}, ${operation.kind} over ${api.name}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

async function lapse(api: LockApi, model: LockModel, operation: LockOperation): Promise<void> {
  const { resource, durability } = operation;
  const extension = { ...operation, kind: 'extend', expiresMs: 1 } as const;
  const wanted = model.ask(extension);
  expectTold(await call(api, extension), wanted);
  if (wanted[0] !== LockType.Extended) return;
  await until(
    'the end of the lease',
    HANGS_MS,
    async () => (await api.info(resource, durability)).type === LockType.LockDoesNotExist,
  );
  model.lapse(durability, resource);
}

function call(api: LockApi, { kind, resource, owner, expiresMs, durability }: LockOperation): Promise<LockAnswer | LockInfo> {
  const bytes = Buffer.from(owner);
  if (kind === 'acquire') return api.acquire(resource, bytes, expiresMs, durability);
  if (kind === 'extend') return api.extend(resource, bytes, expiresMs, durability);
  if (kind === 'unlock') return api.unlock(resource, bytes, durability);
  return api.info(resource, durability);
}

function expectTold(answer: LockAnswer | LockInfo, wanted: Told): void {
  const owner = 'owner' in answer ? (answer.owner?.toString() ?? null) : null;
  const got: Told = [answer.type, Number(answer.token), owner];
  if (got.some((member, i) => member !== wanted[i])) throw new Error(`${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}
