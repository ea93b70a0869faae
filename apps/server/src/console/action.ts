import type { DurabilityName, LockDetailRow, OperationCheck, Outcome, Preflight, SequenceRow } from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import type { OperationResult } from '@kahuna/partition';
import type { ConsoleCalls } from './node-calls.ts';
import type { ConsoleReads } from './reads.ts';
import type { ClusterView } from './view.ts';

/** What an action finds before it does anything; `problem`: nothing could be read. */
export type Facts =
  | { readonly kind: 'problem'; readonly problem: string }
  | {
      readonly kind: 'keys';
      readonly count: number;
      /** There are more than were counted. */
      readonly more: boolean;
      readonly sample: readonly string[];
    }
  | { readonly kind: 'view'; readonly view: ClusterView }
  | { readonly kind: 'key'; readonly live: boolean; readonly revision: number; readonly bytes: number }
  | { readonly kind: 'lock'; readonly lock: LockDetailRow | undefined }
  | { readonly kind: 'sequence'; readonly sequence: SequenceRow | undefined };

/** How an action ended, in one of the five words. */
export interface Ending {
  readonly outcome: Outcome;
  readonly text: string;
  readonly statusText: string | null;
}

interface AnyAction {
  /** What it is about: to be typed where the risk is high. */
  readonly subject: string;
  /** null: durability means nothing here. */
  readonly durability: DurabilityName | null;
  /** null: the command line has no form for exactly this. */
  readonly cli: string | null;
  readonly curl: string;
  look(world: World): Promise<Facts>;
  /** Against what the user saw: a check that fails means that something else is there now. */
  checks(facts: Facts, nowMs: number): readonly OperationCheck[];
  effects(facts: Facts): readonly string[];
  risk(facts: Facts, nowMs: number): Preflight['risk'];
}

/** One operation of the node's own interface. */
export interface ShortAction extends AnyAction {
  readonly operation: Parameters<KahunaNode['submit']>[0];
  end(result: OperationResult): Ending;
}

/** Where an action looks. */
export interface World {
  readonly node: KahunaNode;
  readonly reads: ConsoleReads;
  /** The newest view of the cluster. */
  view(): ClusterView;
  mono(): number;
}

/** What work that takes its time is given. */
export interface LongWork extends World {
  readonly calls: ConsoleCalls;
  /** Aborted: the user wants it stopped. */
  readonly signal: AbortSignal;
  /** `total` null: not known. */
  progress(done: number, total: number | null): void;
  pause(ms: number): Promise<void>;
}

/** Work that takes its time, tells how far it is and can be stopped. */
export interface LongAction extends AnyAction {
  run(facts: Facts, work: LongWork): Promise<Ending>;
}

export type Action = ShortAction | LongAction;

export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export function unreadable(facts: Facts & { kind: 'problem' }): OperationCheck {
  return { id: 'readable', ok: false, text: `The present state could not be read: ${facts.problem}.` };
}
