/**
 * Configuration that many processes read often and somebody changes now and then: typed values, a small local cache, and changes
 * that cannot overwrite each other.
 */
import { json, Kahuna, type Keys } from '@kahuna/client';

interface Config {
  readonly rateLimit: number;
  readonly features: readonly string[];
}

/** Answers from memory for `freshMs`, then asks again; a reader is never older than that. */
class ConfigCache {
  private readonly keys: Keys<Config>;
  private readonly key: string;
  private readonly freshMs: number;
  private cached: Promise<Config> | undefined;

  constructor(keys: Keys<Config>, key: string, freshMs: number) {
    this.keys = keys;
    this.key = key;
    this.freshMs = freshMs;
  }

  read(): Promise<Config> {
    this.cached ??= this.load();
    return this.cached;
  }

  private async load(): Promise<Config> {
    try {
      const entry = await this.keys.get(this.key, { timeoutMs: 10_000 });
      return entry?.value ?? { rateLimit: 100, features: [] };
    } finally {
      setTimeout(() => {
        this.cached = undefined;
      }, this.freshMs).unref();
    }
  }
}

await using kahuna = new Kahuna({ endpoints: process.env['KAHUNA_URL'] ?? 'http://127.0.0.1:2070' });
const configs = kahuna.keys.as(json<Config>());
const key = 'examples/config/web';
await configs.delete(key);

const cache = new ConfigCache(configs, key, 50);
console.log(`default limit: ${(await cache.read()).rateLimit}`);

// Ten operators switch on a feature each, at the same time. `update` reads, computes, writes only if nobody wrote in between
// (compare-and-set on the revision), and begins again if somebody did: none of the ten is lost.
const features = Array.from({ length: 10 }, (_, i) => `feature-${i}`);
await Promise.all(
  features.map(feature =>
    configs.update(
      key,
      present => ({
        rateLimit: present?.value?.rateLimit ?? 100,
        features: [...(present?.value?.features ?? []), feature],
      }),
      { attempts: 100 },
    ),
  ),
);
const entry = await configs.get(key);
console.log(`features kept: ${entry?.value?.features.length}, revision moved by every one of them`);

// The same by hand, for one change that should rather fail than be repeated.
const stale = await configs.set(key, { rateLimit: 5, features: [] }, { ifRevision: (entry?.revision ?? 0) - 1 });
console.log(`change of an outdated revision accepted: ${stale.set}`);
