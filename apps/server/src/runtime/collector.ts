import { setFlagsFromString } from 'node:v8';

/** Percent. */
const HEAP_GROWTH = 200;

/**
 * Lets the heap grow to three times of what a collection left before the next full one. V8 goes by the share of time that a collection takes, and
 * collects a heap of 30 MiB after each 5 MiB of buffers that sockets have read: several times a second under load, each a pause of some 20 ms on
 * a machine with few cores. A node's caches have their own bounds, so what it costs is memory for garbage: at most twice what lives.
 */
export function relaxCollector(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH}`);
}
