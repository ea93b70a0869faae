import { randomUUID } from 'node:crypto';
import { UsageError } from '../failures.ts';
import { toJson } from '../output/json.ts';
import { shown, textOf } from '../output/render.ts';
import type { Prepare } from './command.ts';

/** An owner that nobody else has: 32 lowercase hexadecimal digits. */
export function newOwner(): string {
  return randomUUID().replaceAll('-', '');
}

export const acquireLock: Prepare = options => {
  const { lock: resource = '', expires: leaseMs = 0 } = options;
  if (leaseMs <= 0) throw new UsageError('--lock requires --expires <milliseconds>');
  return async ({ client, signal, output, json }) => {
    const owner = newOwner();
    const { type, fencingToken } = await client.locks.acquire(resource, { owner, leaseMs, signal });
    const { style } = output.rendering;
    const state = type === 'locked' ? style.state('acquired') : style.miss('not acquired');
    const line = `f${fencingToken} ${state} ${owner}`;
    await output.line(json ? toJson({ resource, isAcquired: type === 'locked', fencingToken, owner }) : line);
    return true;
  };
};

export const extendLock: Prepare = options => {
  const { 'extend-lock': resource = '', owner, expires: leaseMs = 0 } = options;
  if (owner === undefined || owner === '') throw new UsageError('--extend-lock requires --owner');
  if (leaseMs <= 0) throw new UsageError('--extend-lock requires --expires <milliseconds>');
  return async ({ client, signal, output, json }) => {
    const { type, fencingToken } = await client.locks.extend(resource, { owner, leaseMs, signal });
    const extended = type === 'extended';
    const { style } = output.rendering;
    const state = extended ? style.state('extended') : style.miss('not extended');
    await output.line(json ? capitalised(extended) : `f${fencingToken} ${state}`);
    return true;
  };
};

export const releaseLock: Prepare = options => {
  const { unlock: resource = '', owner } = options;
  if (owner === undefined || owner === '') throw new UsageError('--unlock requires --owner');
  return async ({ client, signal, output, json }) => {
    const released = (await client.locks.release(resource, { owner, signal })) === 'released';
    const { style } = output.rendering;
    await output.line(json ? capitalised(released) : released ? style.state('unlocked') : style.miss('not unlocked'));
    return true;
  };
};

export const showLock: Prepare =
  ({ 'get-lock': resource = '' }) =>
  async ({ client, signal, output, json }) => {
    const holder = await client.locks.info(resource, { signal });
    const { rendering } = output;
    if (holder === undefined) {
      await output.line(json ? 'null' : rendering.style.miss('not found'));
      return true;
    }
    const { fencingToken, expires } = holder;
    const owner = textOf(holder.owner);
    const document = toJson({ resource, fencingToken, owner, expires: expires.l });
    await output.line(json ? document : `f${fencingToken} ${shown(owner, rendering)}`);
    return true;
  };

/** The plain words that released tools print for these two (spec cli §4). */
function capitalised(value: boolean): string {
  return value ? 'True' : 'False';
}
