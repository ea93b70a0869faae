import type { LogIndex } from '@kahuna/base';
import type { ReadState } from './types.ts';

/**
 * The reads of one leadership that wait for its confirmation (ReadIndex, dissertation §6.4). One round is under way at a time and
 * carries every read that came before it began; the reads that come meanwhile share the next one.
 *
 *     read a, read b ─▶ round 7: heartbeat(7) ─▶ … quorum answered 7 ─▶ a and b may be served
 *                 read c, read d wait meanwhile ─────────────────────▶ round 8
 *
 * A heartbeat of a round leaves after its reads arrived, so an answer to it (or to a later round) proves that the leader was still
 * one at that time: no newer leader can have acknowledged a write before these reads began.
 */
export class ReadRounds {
  /** Number of the latest round; grows over leaderships, so an answer to an old one never fits a new one. */
  round = 0;
  private waiting: ReadState[] = [];
  private asked: ReadState[] = [];

  get idle(): boolean {
    return this.asked.length === 0 && this.waiting.length === 0;
  }

  get underWay(): boolean {
    return this.asked.length > 0;
  }

  add(context: number, commitIndex: LogIndex): void {
    this.waiting.push({ context, index: commitIndex });
  }

  /** Begins a round if reads wait and none is under way; returns whether heartbeats with `round` have to go out. */
  begin(): boolean {
    if (this.asked.length > 0 || this.waiting.length === 0) return false;
    this.round += 1;
    this.asked = this.waiting;
    this.waiting = [];
    return true;
  }

  /** A quorum confirmed the round under way: its reads. */
  confirm(): ReadState[] {
    const confirmed = this.asked;
    this.asked = [];
    return confirmed;
  }

  /** Leadership ended: every read that was never confirmed. */
  drop(): number[] {
    const dropped = [...this.asked, ...this.waiting].map(read => read.context);
    this.asked = [];
    this.waiting = [];
    return dropped;
  }
}
