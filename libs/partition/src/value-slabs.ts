/** Values up to this share slabs. Bytes. */
const SMALL_BYTES = 512;
const SLAB_BYTES = 4096;

/**
 * Copies of values, to be kept after the message that brought them is gone. Small ones lie side by side in slabs: an allocation of its own,
 * which the collector has to track and free, costs several times as much as the bytes. A slab lives as long as any value in it, and
 * records leave the cache about as they came, so the long run keeps about twice what is alive; {@link keptBytes} counts it so.
 */
export class ValueSlabs {
  private slab = new Uint8Array(0);
  private at = 0;

  keep(value: Uint8Array): Uint8Array {
    const { length } = value;
    if (length > SMALL_BYTES) return value.slice();
    if (this.at + length > this.slab.length) {
      this.slab = new Uint8Array(SLAB_BYTES);
      this.at = 0;
    }
    const kept = this.slab.subarray(this.at, this.at + length);
    kept.set(value);
    this.at += length;
    return kept;
  }
}

/** What a value is estimated to take in memory. Bytes. */
export function keptBytes(value: Uint8Array | null | undefined): number {
  if (value === null || value === undefined) return 0;
  return value.length > SMALL_BYTES ? value.length : 2 * value.length;
}
