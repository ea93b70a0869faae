import type { OperationRequest } from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import { ResponseType } from '@kahuna/partition';
import { RESERVED_PREFIX } from '@kahuna/range-router';
import { type Ending, type LongAction, type LongWork, quoted, unreadable } from './action.ts';
import { durabilityOf, refusalText } from './reads.ts';
import { keysBelow } from './subtree.ts';

type DeletePrefix = Extract<OperationRequest, { kind: 'delete-prefix' }>;

/** Keys are counted so far, or for so long, before somebody decides; a longer list is told as "more than". */
const COUNT_AT_MOST = 20_000;
const COUNT_WITHIN_MS = 4_000;
const SAMPLE = 5;
/** A deletion that no leader confirms is asked for again so often before the whole stops. */
const ATTEMPTS = 4;
const ONE_WITHIN_MS = 5_000;

/**
 * Deletes all keys whose name begins with a text, page by page, each key by itself: other clients see it happen. What was deleted
 * stays deleted when it is stopped, and can be restored from the history of each key.
 */
export function deletePrefix({ params }: DeletePrefix): LongAction {
  const { prefix } = params;
  const reserved = prefix.startsWith(RESERVED_PREFIX) || RESERVED_PREFIX.startsWith(prefix);
  return {
    subject: prefix,
    durability: params.durability,
    cli: null,
    curl:
      `curl -X POST "$KAHUNA/v1/console/operations" -H 'content-type: application/json' -d ` +
      quoted(JSON.stringify({ kind: 'delete-prefix', params, expect: {} })),
    look: async ({ reads, node, mono }) => {
      const until = mono() + COUNT_WITHIN_MS;
      const sample: string[] = [];
      let count = 0;
      for await (const page of keysBelow(node, reads, prefix, params.durability)) {
        if ('problem' in page) return { kind: 'problem', problem: page.problem };
        count += page.keys.length;
        sample.push(...page.keys.slice(0, SAMPLE - sample.length));
        if (count > COUNT_AT_MOST || mono() > until) return { kind: 'keys', count, more: true, sample };
      }
      return { kind: 'keys', count, more: false, sample };
    },
    checks: facts => {
      if (reserved)
        return [{ id: 'reserved', ok: false, text: `Names that begin with ${RESERVED_PREFIX} belong to the system.` }];
      if (facts.kind === 'problem') return [unreadable(facts)];
      if (facts.kind !== 'keys') return [];
      const ok = facts.count > 0;
      return [{ id: 'count', ok, text: ok ? `${howMany(facts)} begin with ${prefix}.` : `No live key begins with ${prefix}.` }];
    },
    effects: facts => [
      ...(facts.kind === 'keys' && facts.count > 0
        ? [`${howMany(facts)} are gone for readers, among them ${facts.sample.join(', ')}`]
        : []),
      'each key is deleted by itself: others see some of them gone before the rest',
      'keys that are written while it runs may stay',
      ...(params.durability === 'persistent' ? ['their revisions stay readable and can be restored one by one'] : []),
    ],
    risk: () => 'high',
    run: (facts, work) => deleteAll(params, facts.kind === 'keys' && !facts.more ? facts.count : null, work),
  };
}

/** As the pages write numbers (console §12.2). */
function grouped(n: number): string {
  return n.toLocaleString('en').replaceAll(',', '\u2009');
}

function howMany({ count, more }: { readonly count: number; readonly more: boolean }): string {
  return `${more ? 'More than ' : ''}${grouped(count)} ${count === 1 ? 'key' : 'keys'}`;
}

async function deleteAll({ prefix, durability }: DeletePrefix['params'], total: number | null, work: LongWork): Promise<Ending> {
  let deleted = 0;
  const soFar = (): string => `${grouped(deleted)} ${deleted === 1 ? 'key is' : 'keys are'} deleted`;
  for await (const page of keysBelow(work.node, work.reads, prefix, durability)) {
    if (work.signal.aborted)
      return { outcome: 'cancelled', text: `Stopped: ${soFar()}, the rest is as it was.`, statusText: null };
    if ('problem' in page) {
      return { outcome: 'failed', text: `${soFar()}; then the keys could not be read: ${page.problem}.`, statusText: null };
    }
    const ends = await Promise.all(page.keys.map(key => deleteOne(key, durability, work)));
    deleted += ends.filter(end => end === 'deleted').length;
    work.progress(deleted, total === null ? null : Math.max(total, deleted));
    const open = ends.filter(end => end === 'open').length;
    if (open > 0) {
      const text = `${soFar()}; for ${open} more no leader confirmed it in time. They may still be deleted: look again.`;
      return { outcome: 'unknown', text, statusText: 'MustRetry' };
    }
    const wrong = ends.find(end => typeof end === 'number');
    if (wrong !== undefined) return { outcome: 'failed', text: `${soFar()}; then ${refusalText(wrong)}.`, statusText: null };
  }
  return { outcome: 'done', text: `${soFar()}.`, statusText: 'Deleted' };
}

/** `open`: no leader said what became of it. A number: a type that says that nothing will. */
async function deleteOne(
  key: string,
  durability: DeletePrefix['params']['durability'],
  { calls, mono }: LongWork,
): Promise<'deleted' | 'gone' | 'open' | number> {
  const operation: Parameters<KahunaNode['submit']>[0] = { kind: 'delete', key, durability: durabilityOf(durability) };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { type } = await calls.run(operation, mono() + ONE_WITHIN_MS);
    if (type === ResponseType.Deleted) return 'deleted';
    if (type === ResponseType.DoesNotExist) return 'gone';
    if (type !== ResponseType.MustRetry) return type;
  }
  return 'open';
}
