/**
 * How many blocks of a sequence to reserve before they are needed, from how fast its values go.
 *
 * A block that runs out is a pause of one replicated write for everybody who asks. With a thousand values to a block and a hundred
 * thousand a second, such pauses are a third of the time. So while a sequence is in demand the next blocks are reserved early, in
 * one entry, each as large as it would have been and no more of them than are used up shortly: what is lost with the leadership
 * stays small. A sequence without such demand is reserved as it runs out, and its mark shows exactly that.
 */

/** Requests that had to wait for one block together, from which on a sequence is in demand. One client after the other never is. */
export const CROWD = 8;
/** What is in hand lasts for so long at the present pace, and one block longer at most. Milliseconds. */
const HORIZON_MS = 100;
/** Shorter than this, a look says little about the pace: clocks count in milliseconds. */
const MIN_WINDOW_MS = 5;
/** In one entry, at most. */
export const MAX_BLOCKS = 16;
/** Who chose smaller blocks wants few gaps more than speed. Values. */
const MIN_BLOCK_SIZE = 100;

/** The values of one sequence as they go. */
export class Demand {
  /** Values handed out since the window began; its owner counts. */
  issued = 0;
  private sinceMs: number;

  constructor(nowMs: number) {
    this.sinceMs = nowMs;
  }

  /**
   * Blocks to reserve now, with `inHand` values left in those that are there; 0 = there are enough. `'unknown'` while too little time
   * has passed to tell; `'over'` when a block lasts long enough to be reserved as it runs out.
   */
  blocksWanted(nowMs: number, inHand: number, blockSize: number): number | 'unknown' | 'over' {
    if (blockSize < MIN_BLOCK_SIZE) return 'over';
    const window = nowMs - this.sinceMs;
    if (window < MIN_WINDOW_MS) return 'unknown';
    const wanted = (this.issued / window) * HORIZON_MS;
    this.sinceMs = nowMs;
    this.issued = 0;
    if (wanted < blockSize) return 'over';
    return inHand >= wanted / 2 ? 0 : Math.min(MAX_BLOCKS, Math.ceil((wanted - inHand) / blockSize));
  }
}
