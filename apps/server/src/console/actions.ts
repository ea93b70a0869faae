import type { LockDetailRow, OperationCheck, OperationRequest, SequenceRow } from '@kahuna/console/protocol';
import { LockResponseType, type OperationResult, ResponseType, SequenceResponseType, SetFlag } from '@kahuna/partition';
import { type Action, type Facts, quoted, type ShortAction, unreadable } from './action.ts';
import { deletePrefix } from './delete-prefix.ts';
import { rebalanceLeaders, transferLeader } from './leader-actions.ts';
import { readable } from './readable.ts';
import { type ConsoleReads, durabilityOf, refusalText } from './reads.ts';

/** The actions that are one operation of the node's own interface, and where the longer ones are. */
export function actionFor(request: OperationRequest): Action {
  switch (request.kind) {
    case 'set-key':
      return setKey(request);
    case 'delete-key':
      return deleteKey(request);
    case 'delete-prefix':
      return deletePrefix(request);
    case 'extend-key':
      return extendKey(request);
    case 'release-lock':
      return releaseLock(request);
    case 'transfer-leader':
      return transferLeader(request);
    case 'rebalance-leaders':
      return rebalanceLeaders(request);
    case 'create-sequence':
      return createSequence(request);
    case 'update-sequence':
      return updateSequence(request);
    case 'reserve-sequence':
      return reserveSequence(request);
    case 'delete-sequence':
      return deleteSequence(request);
  }
}

type Request<K extends OperationRequest['kind']> = Extract<OperationRequest, { kind: K }>;

function curl(path: string, body: object): string {
  return `curl -X POST "$KAHUNA${path}" -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))}`;
}

// ---- keys -------------------------------------------------------------------------------------------------------------------

async function lookAtKey(
  reads: ConsoleReads,
  params: Request<'set-key' | 'delete-key' | 'extend-key'>['params'],
): Promise<Facts> {
  const found = await reads.get(params.key, { durability: params.durability });
  if (found.type !== ResponseType.Get && found.type !== ResponseType.DoesNotExist) return problem(found.type);
  return { kind: 'key', live: found.type === ResponseType.Get, revision: found.revision, bytes: found.value?.length ?? 0 };
}

function problem(type: number): Facts {
  return { kind: 'problem', problem: refusalText(type) };
}

/** The key is as it was when the user looked. */
function revisionCheck(facts: Facts, seen: string | null): readonly OperationCheck[] {
  if (facts.kind === 'problem') return [unreadable(facts)];
  if (facts.kind !== 'key') return [];
  const now = facts.live ? `revision ${facts.revision}` : 'no live key';
  const ok = seen === null ? !facts.live : facts.live && String(facts.revision) === seen;
  const was = seen === null ? 'no live key' : `revision ${seen}`;
  return [{ id: 'revision', ok, text: ok ? `Still ${was}, as you saw it.` : `It is ${now} now; you saw ${was}.` }];
}

function setKey({ params, expect }: Request<'set-key'>): ShortAction {
  const value = params.valueB64 === null ? null : Buffer.from(params.valueB64, 'base64');
  const condition = expect.revision === null ? SetFlag.IfNotExists : SetFlag.IfEqualToRevision;
  const flags = SetFlag.Set | condition | (params.noRevision ? SetFlag.NoRevision : 0);
  const compareRevision = expect.revision === null ? 0 : Number(expect.revision);
  const { key, expiresMs } = params;
  const durability = durabilityOf(params.durability);
  return {
    subject: key,
    durability: params.durability,
    operation: { kind: 'set', key, value, expiresMs, flags, compareValue: null, compareRevision, durability },
    cli: null,
    curl: curl('/v1/kv/try-set', { key, value: params.valueB64, expiresMs, flags, compareRevision, durability }),
    look: ({ reads }) => lookAtKey(reads, params),
    checks: facts => revisionCheck(facts, expect.revision),
    effects: facts => {
      const before = facts.kind === 'key' && facts.live ? `${facts.bytes} bytes` : 'nothing';
      const after = value === null ? 'null' : `${value.length} bytes`;
      return [`${before} becomes ${after}`, expiresMs === 0 ? 'it never expires' : `it expires ${expiresMs} ms after the write`];
    },
    risk: () => 'low',
    end: result => {
      if (result.type === ResponseType.Set) return done(`Written as revision ${result.revision}.`, 'Set');
      if (result.type === ResponseType.NotSet) {
        return refused(`Somebody else wrote first: it is revision ${result.revision} now. Nothing was changed.`, 'NotSet');
      }
      return otherwise(result.type, NAMES);
    },
  };
}

function deleteKey({ params, expect }: Request<'delete-key'>): ShortAction {
  const { key } = params;
  const durability = durabilityOf(params.durability);
  return {
    subject: key,
    durability: params.durability,
    operation: { kind: 'delete', key, durability },
    cli: null,
    curl: curl('/v1/kv/try-delete', { key, durability }),
    look: ({ reads }) => lookAtKey(reads, params),
    checks: facts => revisionCheck(facts, expect.revision),
    effects: facts => [
      `${key} is gone for readers${facts.kind === 'key' ? `, ${facts.bytes} bytes` : ''}`,
      'its revisions stay readable and can be restored',
    ],
    risk: () => 'medium',
    end: result => {
      if (result.type === ResponseType.Deleted) return done(`Deleted; its last revision was ${result.revision}.`, 'Deleted');
      if (result.type === ResponseType.DoesNotExist) return done('Nothing to do: it was gone already.', 'DoesNotExist');
      return otherwise(result.type, NAMES);
    },
  };
}

function extendKey({ params, expect }: Request<'extend-key'>): ShortAction {
  const { key, expiresMs } = params;
  const durability = durabilityOf(params.durability);
  return {
    subject: key,
    durability: params.durability,
    operation: { kind: 'extend', key, expiresMs, durability },
    cli: null,
    curl: curl('/v1/kv/try-extend', { key, expiresMs, durability }),
    look: ({ reads }) => lookAtKey(reads, params),
    checks: facts => revisionCheck(facts, expect.revision),
    effects: () => [expiresMs === 0 ? 'it never expires' : `it expires ${expiresMs} ms from now`],
    risk: () => 'low',
    end: result => {
      if (result.type === ResponseType.Extended) return done('Its lifetime was changed.', 'Extended');
      if (result.type === ResponseType.DoesNotExist) return refused('It is gone. Nothing was changed.', 'DoesNotExist');
      return otherwise(result.type, NAMES);
    },
  };
}

// ---- locks ------------------------------------------------------------------------------------------------------------------

function releaseLock({ params, expect }: Request<'release-lock'>): ShortAction {
  const { resource } = params;
  const durability = durabilityOf(params.durability);
  const owner = Buffer.from(expect.ownerB64, 'base64');
  const name = readable(owner);
  return {
    subject: resource,
    durability: params.durability,
    operation: { kind: 'lock-release', key: resource, owner, expiresMs: 0, durability },
    cli:
      isText(owner) && params.durability === 'persistent'
        ? `kahuna-cli --unlock ${quoted(resource)} --owner ${quoted(name)}`
        : null,
    curl: curl('/v1/locks/try-unlock', { resource, owner: expect.ownerB64, durability }),
    look: async ({ reads }) => {
      const answer = await reads.lock({ resource, durability: params.durability });
      if ('problem' in answer) return { kind: 'problem', problem: answer.problem };
      return { kind: 'lock', lock: answer.rows[0]?.v as unknown as LockDetailRow | undefined };
    },
    checks: (facts, nowMs) => {
      if (facts.kind === 'problem') return [unreadable(facts)];
      if (facts.kind !== 'lock') return [];
      const { lock } = facts;
      const held = lock?.state === 'held';
      const same = held && lock.token === expect.token && lock.ownerB64 === expect.ownerB64;
      const left = lock?.expiresMs === null || lock === undefined ? 0 : Math.max(0, lock.expiresMs - nowMs);
      const text = same
        ? `Still f${expect.token}, held by ${name} for another ${Math.ceil(left / 1000)} s.`
        : held
          ? `Now f${lock.token}, held by ${lock.ownerText ?? 'somebody else'}. You saw f${expect.token}.`
          : 'Nobody holds it any more.';
      return [{ id: 'owner', ok: same, text }];
    },
    effects: () => [
      `${name} loses the lock; the next to ask gets a token above f${expect.token}`,
      'the owner is not told: it learns at its next extend, or where its fencing token is refused',
    ],
    risk: (facts, nowMs) => (facts.kind === 'lock' && isAlive(facts.lock, nowMs) ? 'high' : 'medium'),
    end: result => {
      if (result.type === LockResponseType.Unlocked) return done(`Released from ${name}.`, 'Unlocked');
      if (result.type === LockResponseType.InvalidOwner) {
        return refused('Another owner holds it now. Nothing was released.', 'InvalidOwner');
      }
      if (result.type === LockResponseType.LockDoesNotExist)
        return done('Nothing to do: it was free already.', 'LockDoesNotExist');
      return otherwise(result.type, LOCK_NAMES);
    },
  };
}

/** The owner can be typed as it is. */
function isText(owner: Buffer): boolean {
  return Buffer.from(readable(owner)).equals(owner);
}

/** Its owner extended it lately, so it is at work under this lock (console §7.2). */
function isAlive(lock: LockDetailRow | undefined, nowMs: number): boolean {
  const { lastExtendMs = null, leaseMs = null } = lock ?? {};
  return lastExtendMs !== null && leaseMs !== null && nowMs - lastExtendMs < 2 * leaseMs;
}

// ---- sequences --------------------------------------------------------------------------------------------------------------

async function lookAtSequence(reads: ConsoleReads, name: string): Promise<Facts> {
  const answer = await reads.sequence({ name });
  if ('problem' in answer) return { kind: 'problem', problem: answer.problem };
  return { kind: 'sequence', sequence: answer.rows[0]?.v as unknown as SequenceRow | undefined };
}

function incarnationCheck(facts: Facts, seen: string | null): readonly OperationCheck[] {
  if (facts.kind === 'problem') return [unreadable(facts)];
  if (facts.kind !== 'sequence') return [];
  const now = facts.sequence?.incarnation;
  if (seen === null) {
    const ok = now === undefined;
    return [{ id: 'exists', ok, text: ok ? 'No sequence has this name.' : 'A sequence of this name exists.' }];
  }
  const ok = now === seen;
  const text = ok
    ? `Still incarnation ${seen}, as you saw it.`
    : now === undefined
      ? 'It does not exist any more.'
      : `It is incarnation ${now} now.`;
  return [{ id: 'incarnation', ok, text }];
}

function endOfSequence(text: (result: OperationResult) => string): ShortAction['end'] {
  return result => {
    switch (result.type) {
      case SequenceResponseType.Success:
        return done(text(result), 'Success');
      case SequenceResponseType.NotFound:
        return refused('It does not exist. Nothing was changed.', 'NotFound');
      case SequenceResponseType.AlreadyExists:
        return refused('A sequence of this name exists. Nothing was changed.', 'AlreadyExists');
      case SequenceResponseType.MaxValueExceeded:
        return refused('So many values do not fit below the maximum. Nothing was reserved.', 'MaxValueExceeded');
      default:
        return otherwise(result.type, SEQUENCE_NAMES);
    }
  };
}

function createSequence({ params }: Request<'create-sequence'>): ShortAction {
  const { name, initialValue, increment, maxValue, blockSize } = params;
  const first = BigInt(initialValue) + BigInt(increment);
  return {
    subject: name,
    durability: null,
    operation: {
      kind: 'sequence-create',
      key: name,
      initialValue: BigInt(initialValue),
      increment: BigInt(increment),
      maxValue: maxValue === null ? undefined : BigInt(maxValue),
      blockSize: blockSize ?? undefined,
    },
    cli:
      `kahuna-cli --create-sequence ${quoted(name)} --initial-value ${initialValue} --increment ${increment}` +
      (maxValue === null ? '' : ` --max-value ${maxValue}`),
    curl: curl('/v1/sequences/create', { name, initialValue, increment, maxValue, blockSize, durability: 1 }),
    look: ({ reads }) => lookAtSequence(reads, name),
    checks: facts => incarnationCheck(facts, null),
    effects: () => [`the first value will be ${first}`],
    risk: () => 'low',
    end: endOfSequence(() => `Created; the first value will be ${first}.`),
  };
}

function updateSequence({ params, expect }: Request<'update-sequence'>): ShortAction {
  const { name } = params;
  const lowers = (facts: Facts) =>
    facts.kind === 'sequence' &&
    params.currentValue !== undefined &&
    facts.sequence !== undefined &&
    BigInt(params.currentValue) < BigInt(facts.sequence.currentValue);
  return {
    subject: name,
    durability: null,
    operation: {
      kind: 'sequence-update',
      key: name,
      currentValue: params.currentValue === undefined ? undefined : BigInt(params.currentValue),
      increment: params.increment === undefined ? undefined : BigInt(params.increment),
      initialValue: undefined,
      maxValue: params.maxValue === undefined || params.maxValue === null ? undefined : BigInt(params.maxValue),
      removeMaxValue: params.maxValue === null,
      blockSize: params.blockSize ?? undefined,
      removeBlockSize: params.blockSize === null,
    },
    cli: null,
    curl: curl('/v1/sequences/update', { ...params, durability: 1 }),
    look: ({ reads }) => lookAtSequence(reads, name),
    checks: facts => incarnationCheck(facts, expect.incarnation),
    effects: facts => [
      'every reserved block and every remembered idempotency key becomes void',
      ...(lowers(facts) ? ['the mark is set back: values that were handed out will be handed out again'] : []),
    ],
    risk: facts => (lowers(facts) ? 'high' : 'medium'),
    end: endOfSequence(result => `Updated to revision ${result.revision}.`),
  };
}

function reserveSequence({ params, expect }: Request<'reserve-sequence'>): ShortAction {
  const { name, count } = params;
  return {
    subject: name,
    durability: null,
    operation: { kind: 'sequence-reserve', key: name, count, idempotencyKey: '' },
    cli: `kahuna-cli --reserve-sequence ${quoted(name)} --count ${count}`,
    curl: curl('/v1/sequences/reserve', { name, count, durability: 1 }),
    look: ({ reads }) => lookAtSequence(reads, name),
    checks: facts => incarnationCheck(facts, expect.incarnation),
    effects: () => [`${count} ${count === 1 ? 'value is' : 'values are'} consumed and never handed out again`],
    risk: () => 'low',
    end: endOfSequence(({ detail }) =>
      detail?.kind === 'sequence-allocation' ? `Reserved ${detail.start} to ${detail.end}.` : 'Reserved.',
    ),
  };
}

function deleteSequence({ params, expect }: Request<'delete-sequence'>): ShortAction {
  const { name } = params;
  return {
    subject: name,
    durability: null,
    operation: { kind: 'sequence-delete', key: name },
    cli: `kahuna-cli --delete-sequence ${quoted(name)}`,
    curl: curl('/v1/sequences/delete', { name, durability: 1 }),
    look: ({ reads }) => lookAtSequence(reads, name),
    checks: facts => incarnationCheck(facts, expect.incarnation),
    effects: () => [
      'whoever asks for the next value is told that it does not exist',
      'a new one of this name may hand out the same values',
    ],
    risk: () => 'high',
    end: endOfSequence(() => 'Deleted.'),
  };
}

// ---- outcome words (console §7.3) -----------------------------------------------------------------------------------------------

function done(text: string, statusText: string) {
  return { outcome: 'done', text, statusText } as const;
}

function refused(text: string, statusText: string) {
  return { outcome: 'refused', text, statusText } as const;
}

function otherwise(type: number, names: Readonly<Record<string, number>>): ReturnType<ShortAction['end']> {
  const statusText = Object.keys(names).find(name => names[name] === type) ?? String(type);
  if (type === ResponseType.MustRetry) {
    return {
      outcome: 'unknown',
      text: 'No leader confirmed it in time. It may still take effect: look at the present state.',
      statusText,
    };
  }
  if (type === ResponseType.InvalidInput)
    return { outcome: 'refused', text: 'The input breaks a rule. Nothing was changed.', statusText };
  return { outcome: 'failed', text: 'The node could not do it.', statusText };
}

const NAMES: Readonly<Record<string, number>> = ResponseType;
const LOCK_NAMES: Readonly<Record<string, number>> = LockResponseType;
const SEQUENCE_NAMES: Readonly<Record<string, number>> = SequenceResponseType;
