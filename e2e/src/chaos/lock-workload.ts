import { Rng } from '@kahuna/base';
import { checkLocks, type LockEvent } from '@kahuna/sim';
import { Persistent } from '../clients/kv-api.ts';
import { type LockAnswer, type LockApi, type LockInfo, LockType } from '../clients/lock-api.ts';
import { sleep } from '../harness/processes.ts';
import type { SideWorkload } from './side-workload.ts';

/** From a lease that hardly outlives its answer to one that outlives an election. Milliseconds. */
const LEASES_MS = [100, 500, 2000, 6000] as const;
const LOCKS = 4;
/** After so long the clients move on to new locks, so that judging one stays quick. Milliseconds. */
const EPOCH_MS = 10_000;
/** All processes read the clock of one machine; what remains is its resolution and the time within a millisecond. */
const CLOCKS = { rate: 1.001, skewMs: 20 };
/** Number of "waiting for replication", which no client may ever see (locks:F15). */
const WAITING_FOR_REPLICATION = 10;

/** Clients that take persistent locks through any node, extend them, give them back or let them run out, and look who has them. */
export class LockWorkload implements SideWorkload {
  readonly name = 'locks';
  readonly events: LockEvent[] = [];
  private readonly rng: Rng;
  private readonly apis: readonly LockApi[];
  private readonly startedAt = performance.now();
  private readonly clients: Promise<void>[] = [];
  private owners = 0;
  private stopping = false;
  private sawWaiting = false;

  constructor(seed: number, apis: readonly LockApi[]) {
    this.rng = new Rng(seed);
    this.apis = apis;
  }

  start(clients: number): void {
    for (let i = 0; i < clients; i++) this.clients.push(this.client());
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.clients);
  }

  async close(): Promise<void> {
    for (const api of this.apis) api.close();
  }

  /** Every lock is granted once more through every node. */
  async settle(deadlineMs: number): Promise<string | undefined> {
    const deadline = performance.now() + deadlineMs;
    const locks = [...new Set(this.events.map(event => event.lock))];
    const stuck = locks.flatMap(lock => this.apis.map(api => this.acquireUntil(deadline, api, lock)));
    const missing = (await Promise.all(stuck)).filter(lock => lock !== undefined);
    return missing.length === 0 ? undefined : `not granted ${deadlineMs} ms after the last repair: ${[...new Set(missing)]}`;
  }

  verdict(): string | undefined {
    if (this.sawWaiting) return 'a client of a lock saw type 10 (locks:F15)';
    return checkLocks(this.events, CLOCKS);
  }

  private async acquireUntil(deadline: number, api: LockApi, lock: string): Promise<string | undefined> {
    const owner = this.newOwner();
    while (performance.now() < deadline) {
      if ((await this.run(api, lock, owner, 'acquire', 50))?.holds) return undefined;
      await sleep(50);
    }
    return lock;
  }

  /** Bytes that serve one grant only: whose a token is can be told. */
  private newOwner(): string {
    return `owner ${++this.owners}`;
  }

  private async client(): Promise<void> {
    while (!this.stopping) {
      const epoch = Math.floor((performance.now() - this.startedAt) / EPOCH_MS);
      const lock = `chaos-lock-${this.rng.int(1, LOCKS)}/${epoch}`;
      const owner = this.newOwner();
      if (this.rng.chance(0.2)) await this.run(this.any(), lock, owner, 'info', 0);
      else await this.takeAndUse(lock, owner);
      await this.think();
    }
  }

  private async takeAndUse(lock: string, owner: string): Promise<void> {
    const leaseMs = this.rng.pick(LEASES_MS);
    for (let attempt = 0; !(await this.run(this.any(), lock, owner, 'acquire', leaseMs))?.holds; attempt++) {
      if (this.stopping || attempt > 10) return;
      await sleep(30);
    }
    while (!this.stopping) {
      await this.think();
      const roll = this.rng.int(0, 9);
      if (roll < 3) await this.run(this.any(), lock, owner, 'extend', this.rng.pick(LEASES_MS));
      else if (roll < 4) await this.run(this.any(), lock, owner, 'acquire', leaseMs);
      else {
        if (roll < 8) await this.run(this.any(), lock, owner, 'release', 0);
        return;
      }
    }
  }

  private any(): LockApi {
    return this.rng.pick(this.apis);
  }

  private think(): Promise<void> {
    return sleep(this.rng.int(0, 40));
  }

  private async run(
    api: LockApi,
    lock: string,
    owner: string,
    kind: LockEvent['kind'],
    leaseMs: number,
  ): Promise<LockEvent['answer']> {
    const invokedAt = performance.now();
    let said: LockAnswer | LockInfo | undefined;
    try {
      said = await perform(api, lock, owner, kind, leaseMs);
    } catch {
      said = undefined; // the connection broke: nobody knows what became of it
    }
    if (said?.type === WAITING_FOR_REPLICATION) this.sawWaiting = true;
    const answer = toAnswer(said, owner);
    const completedAt = answer === undefined ? Number.POSITIVE_INFINITY : performance.now();
    this.events.push({ lock, owner, kind, leaseMs, invokedAt, completedAt, answer });
    if (answer === undefined) await sleep(50);
    return answer;
  }
}

function perform(
  api: LockApi,
  lock: string,
  owner: string,
  kind: LockEvent['kind'],
  leaseMs: number,
): Promise<LockAnswer | LockInfo> {
  const bytes = Buffer.from(owner);
  switch (kind) {
    case 'acquire':
      return api.acquire(lock, bytes, leaseMs, Persistent);
    case 'extend':
      return api.extend(lock, bytes, leaseMs, Persistent);
    case 'release':
      return api.unlock(lock, bytes, Persistent);
    case 'info':
      return api.info(lock, Persistent);
  }
}

function toAnswer(said: LockAnswer | LockInfo | undefined, owner: string): LockEvent['answer'] {
  switch (said?.type) {
    case LockType.Locked:
    case LockType.Extended:
      return { holds: true, owner, token: Number(said.token) };
    case LockType.Got:
      return { holds: true, owner: 'owner' in said ? String(said.owner) : '', token: Number(said.token) };
    case undefined:
    case LockType.MustRetry:
    case LockType.Errored:
      return undefined;
    default:
      return { holds: false, owner: '', token: 0 };
  }
}
