/**
 * Two observers: one follows who holds a lock, the other keeps a copy of some settings. Neither asks again and again, and both go on
 * by themselves when a node or a connection is lost.
 */
import { json, Kahuna } from '@kahuna/client';

await using kahuna = new Kahuna({ endpoints: process.env['KAHUNA_URL'] ?? 'http://127.0.0.1:2070' });
const stop = new AbortController();
const { signal } = stop;

// A lock: a watch begins with a snapshot of it, then tells every change.
const lockName = 'examples/press';
const seen: string[] = [];
const holders = kahuna.watch.lock(lockName, { signal });
const observing = (async () => {
  for await (const { kind, held, fencingToken } of holders) {
    seen.push(held ? `held with token ${fencingToken}` : 'free');
    if (kind === 'released' && seen.length >= 5) return;
  }
})();
await holders.started;
for (let i = 0; i < 2; i++) {
  await using _lock = await kahuna.lock(lockName);
}
await observing;
console.log(`free and held in turn: ${seen.every((state, i) => (state === 'free') === (i % 2 === 0))}`);

// Keys: with `initial`, what is there comes first; then each change once, in order.
const settings = kahuna.keys.as(json<number>());
await settings.set('examples/watched/limit', 10);
const copy = new Map<string, number>();
let present: number | undefined;
const watch = kahuna.watch.bucket('examples/watched', { initial: true, signal });
const copying = (async () => {
  for await (const { kind, key, value, initial } of watch) {
    if (kind === 'delete' || kind === 'expire') copy.delete(key);
    else if (value !== null) copy.set(key, JSON.parse(new TextDecoder().decode(value)) as number);
    if (initial) present = copy.get(key);
    if (copy.get(key) === 30) return;
  }
})();
await watch.started;
await settings.set('examples/watched/limit', 20);
await settings.set('examples/watched/limit', 30);
await copying;
console.log(`began with what was there: ${present === 10}`);
// Another process, or this one after a restart, goes on from here: { after: watch.position }.
console.log(`a position to go on from: ${watch.position !== undefined}`);
