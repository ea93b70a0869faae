import type { Durability, Kahuna } from '@kahuna/client';
import { newOwner } from '../commands/locks.ts';
import type { Output } from '../output/output.ts';
import { shown, textOf } from '../output/render.ts';

interface HeldLock {
  readonly resource: string;
  readonly durability: Durability;
  readonly owner: string;
  readonly token: bigint;
}

/** A call of the session: against which server, until when, printing where. */
export interface LockCall {
  readonly client: Kahuna;
  readonly signal: AbortSignal;
  readonly output: Output;
}

/** The locks that were taken in this shell. They are leases and nobody renews them: some may have ended meanwhile. */
export class SessionLocks {
  private readonly held = new Map<string, HeldLock>();

  resources(): readonly string[] {
    return [...new Set(Array.from(this.held.values(), lock => lock.resource))];
  }

  /** Under a new owner each time: a resource that this shell holds already is refused like one of somebody else. */
  async acquire({ client, signal, output }: LockCall, resource: string, leaseMs: number, durability: Durability): Promise<void> {
    const owner = newOwner();
    const { type, fencingToken: token } = await client.locks.acquire(resource, { owner, leaseMs, durability, signal });
    const { style } = output.rendering;
    if (type === 'busy') return output.line(style.miss('not acquired'));
    this.held.set(keyOf(resource, durability), { resource, durability, owner, token });
    return output.line(`f${token} ${style.state('acquired')} ${owner}`);
  }

  async extend({ client, signal, output }: LockCall, resource: string, leaseMs: number, durability: Durability): Promise<void> {
    const { style } = output.rendering;
    const lock = this.held.get(keyOf(resource, durability));
    if (lock === undefined) return output.line(style.miss('not acquired'));
    const { owner } = lock;
    const { type, fencingToken } = await client.locks.extend(resource, { owner, leaseMs, durability, signal });
    if (type === 'extended') return output.line(`f${fencingToken} ${style.state('extended')} ${owner}`);
    this.held.delete(keyOf(resource, durability));
    return output.line(style.miss('not acquired'));
  }

  async release({ client, signal, output }: LockCall, resource: string, durability: Durability): Promise<void> {
    const { style } = output.rendering;
    const lock = this.held.get(keyOf(resource, durability));
    if (lock === undefined) return output.line(style.miss('not acquired'));
    const released = await client.locks.release(resource, { owner: lock.owner, durability, signal });
    this.held.delete(keyOf(resource, durability));
    return output.line(released === 'released' ? `f${lock.token} ${style.state('unlocked')}` : style.miss('not acquired'));
  }

  /** Who has a lock as the server knows it, in this shell or elsewhere. */
  async show({ client, signal, output }: LockCall, resource: string, durability: Durability): Promise<void> {
    const { rendering } = output;
    const holder = await client.locks.info(resource, { durability, signal });
    if (holder === undefined) return output.line(rendering.style.miss('not found'));
    return output.line(`f${holder.fencingToken} ${shown(textOf(holder.owner), rendering)}`);
  }

  /** At the end of the shell: each lock is let go; one that cannot be is reported and ends with its lease. */
  async releaseAll(call: LockCall, failed: (error: unknown) => void): Promise<void> {
    for (const { resource, durability, owner } of this.held.values()) {
      await call.output.line(`Disposing ${durability} lock ${owner}...`);
      try {
        await call.client.locks.release(resource, { owner, durability, signal: call.signal });
      } catch (error) {
        failed(error);
      }
    }
    this.held.clear();
  }

  get isEmpty(): boolean {
    return this.held.size === 0;
  }
}

/** A resource has one lock in each durability. */
function keyOf(resource: string, durability: Durability): string {
  return `${durability} ${resource}`;
}
