import { HLC_ZERO } from '@kahuna/base';
import type { DurabilityName } from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import { ResponseType } from '@kahuna/partition';
import type { ConsoleReads } from './reads.ts';
import { durabilityOf, refusalText } from './reads.ts';

const KEYS_PER_PAGE = 256;
const SPACES_PER_PAGE = 1_000;

/** Names of live keys in pages; a page with a problem is the last one. */
export type KeyPage = { readonly keys: readonly string[] } | { readonly problem: string };

/**
 * All live keys whose name begins with `prefix`, in pages. Key spaces are visited one after the other, each as it is when visited: a
 * key that is written meanwhile may be among them or not.
 */
export async function* keysBelow(
  node: KahunaNode,
  reads: ConsoleReads,
  prefix: string,
  durability: DurabilityName,
): AsyncGenerator<KeyPage> {
  const slash = prefix.lastIndexOf('/');
  // The space in which the prefix ends holds keys from there on; every space whose own name begins with it lies in it whole.
  if (slash >= 0) yield* keysOfSpace(node, reads, prefix.slice(0, slash), prefix, durability);
  let after: string | undefined;
  for (let more = true; more; ) {
    const query = { prefix, after, limit: SPACES_PER_PAGE, durability: durabilityOf(durability) };
    const answer = await node.keySpaces(query, reads.deadline());
    if (answer.type !== ResponseType.Get) {
      yield { problem: refusalText(answer.type) };
      return;
    }
    for (const { keySpace } of answer.rows) {
      yield* ownKey(reads, keySpace, durability);
      yield* keysOfSpace(node, reads, keySpace, prefix, durability);
      after = keySpace;
    }
    more = answer.hasMore;
  }
}

/** A name without a slash is a key space of its own, and that key belongs to no bucket. */
async function* ownKey(reads: ConsoleReads, keySpace: string, durability: DurabilityName): AsyncGenerator<KeyPage> {
  if (keySpace === '' || keySpace.includes('/')) return;
  const found = await reads.get(keySpace, { durability });
  if (found.type === ResponseType.Get) yield { keys: [keySpace] };
  else if (found.type !== ResponseType.DoesNotExist) yield { problem: refusalText(found.type) };
}

async function* keysOfSpace(
  node: KahunaNode,
  reads: ConsoleReads,
  keySpace: string,
  prefix: string,
  durability: DurabilityName,
): AsyncGenerator<KeyPage> {
  const bucket = `${keySpace}/`;
  let startKey = prefix.length > bucket.length ? prefix : undefined;
  let startInclusive = true;
  for (;;) {
    const answer = await node.scan(
      {
        kind: 'range',
        prefix: bucket,
        startKey,
        startInclusive,
        endKey: undefined,
        endInclusive: false,
        limit: KEYS_PER_PAGE,
        readTimestamp: HLC_ZERO,
        durability: durabilityOf(durability),
        cursor: undefined,
      },
      reads.deadline(),
    );
    if (answer.type !== ResponseType.Get) {
      yield { problem: refusalText(answer.type) };
      return;
    }
    const keys = answer.rows.map(row => row.key);
    const inside = keys.filter(key => key.startsWith(prefix));
    if (inside.length > 0) yield { keys: inside };
    // The keys stand in their order: behind the last one inside there is none.
    if (!answer.hasMore || inside.length < keys.length || keys.length === 0) return;
    startKey = keys.at(-1);
    startInclusive = false;
  }
}
