import { compareHlc, type Hlc } from '@kahuna/base';
import type { OperationResult } from './operation.ts';
import type { OperationId } from './types.ts';

const INITIAL_CAPACITY = 64;

/**
 * The answers of what was applied lately, by identity: a bounded ring with a chained hash index in typed arrays, so that
 * remembering allocates nothing. It lives in memory only and differs between replicas (a restarted one begins with less), hence
 * it never shapes an effect: only a leader asks it, before it proposes something that may have been proposed before.
 *
 * Invariant: every answer of a command stamped above `completeAbove` is here.
 */
export class AnswerMemory {
  private readonly maxCapacity: number;
  private capacity = 0;
  private nodes = new Float64Array(0);
  private boots = new Float64Array(0);
  private numbers = new Float64Array(0);
  private answers: OperationResult[] = [];
  private stamps: Hlc[] = [];
  /** First slot of each hash chain, and the next slot of the same chain; -1 ends it. */
  private chains = new Int32Array(0);
  private links = new Int32Array(0);
  /** Total answers ever added; slot = total mod capacity once the ring is full. */
  private total = 0;
  private completeAbove: Hlc;

  constructor(maxCapacity: number, completeAbove: Hlc) {
    this.maxCapacity = maxCapacity;
    this.completeAbove = completeAbove;
  }

  get size(): number {
    return Math.min(this.total, this.capacity);
  }

  add(id: OperationId, stamp: Hlc, answer: OperationResult): void {
    if (this.total >= this.capacity && this.capacity < this.maxCapacity) this.grow();
    const slot = this.total % this.capacity;
    if (this.total >= this.capacity) this.forget(slot);
    this.total++;
    this.nodes[slot] = id.node;
    this.boots[slot] = id.boot;
    this.numbers[slot] = id.number;
    this.answers[slot] = answer;
    this.stamps[slot] = stamp;
    this.link(slot);
  }

  /**
   * The answer; undefined if the command was surely not applied; 'unknown' if it may have been, too long ago to be remembered.
   * A command is stamped above its receipt, so one that is forgotten (stamped at or below `completeAbove`) was received before that.
   */
  find(id: OperationId, receipt: Hlc): OperationResult | 'unknown' | undefined {
    if (this.capacity > 0) {
      for (
        let slot = this.chains[this.chainOf(id.node, id.boot, id.number)] as number;
        slot >= 0;
        slot = this.links[slot] as number
      ) {
        if (this.numbers[slot] === id.number && this.boots[slot] === id.boot && this.nodes[slot] === id.node)
          return this.answers[slot];
      }
    }
    return compareHlc(receipt, this.completeAbove) >= 0 ? undefined : 'unknown';
  }

  private chainOf(node: number, boot: number, number: number): number {
    let h = Math.imul(number | 0, 0x9e3779b1) ^ Math.imul(boot | 0, 0x85ebca77) ^ Math.imul(node, 0xc2b2ae3d);
    h ^= h >>> 15;
    return h & (this.chains.length - 1);
  }

  private link(slot: number): void {
    const chain = this.chainOf(this.nodes[slot] as number, this.boots[slot] as number, this.numbers[slot] as number);
    this.links[slot] = this.chains[chain] as number;
    this.chains[chain] = slot;
  }

  /** The oldest answer makes room. */
  private forget(slot: number): void {
    this.completeAbove = this.stamps[slot] as Hlc;
    const chain = this.chainOf(this.nodes[slot] as number, this.boots[slot] as number, this.numbers[slot] as number);
    const link = this.links[slot] as number;
    if (this.chains[chain] === slot) {
      this.chains[chain] = link;
      return;
    }
    let before = this.chains[chain] as number;
    while (this.links[before] !== slot) before = this.links[before] as number;
    this.links[before] = link;
  }

  /** Doubles a ring that has not wrapped yet: slots stay where they are. Idle partitions never pay for the full size. */
  private grow(): void {
    const capacity = Math.min(this.maxCapacity, Math.max(INITIAL_CAPACITY, this.capacity * 2));
    this.nodes = enlarged(this.nodes, capacity);
    this.boots = enlarged(this.boots, capacity);
    this.numbers = enlarged(this.numbers, capacity);
    this.links = new Int32Array(capacity);
    this.chains = new Int32Array(2 ** Math.ceil(Math.log2(capacity))).fill(-1);
    this.capacity = capacity;
    for (let slot = 0; slot < this.total; slot++) this.link(slot);
  }
}

function enlarged(array: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const next = new Float64Array(capacity);
  next.set(array);
  return next;
}
