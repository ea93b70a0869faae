import type { Topic, TopicParams } from '@kahuna/console/protocol';
import type { KahunaNode, Watch, WatchSubject } from '@kahuna/node';
import { durabilityOf } from './reads.ts';

/** Events thrown away at once; they only say that there is something to read. Bytes. */
const TAKEN_BYTES = 1024 * 1024;
/** A watch that has ended is opened again after this. Milliseconds. */
const REOPEN_AFTER_MS = 2_000;

/**
 * Says that what a live read shows has changed, so that it need not look again and again to find out. Only a hint: what is shown is
 * always read, and where nothing can be watched the read goes by the clock.
 */
export interface News {
  /** Whoever asks is told of every change by {@link hasCome}. */
  readonly isWatching: boolean;
  /** Something happened since the last time. */
  hasCome(nowMs: number): boolean;
  close(): void;
}

/** Of a list of locks or sequences. */
class ListNews implements News {
  private readonly listen: (changed: () => void) => () => void;
  private stop: (() => void) | undefined;
  private woken = false;

  constructor(listen: (changed: () => void) => () => void) {
    this.listen = listen;
  }

  get isWatching(): boolean {
    return this.stop !== undefined;
  }

  hasCome(): boolean {
    if (this.stop === undefined) {
      this.stop = this.listen(() => {
        this.woken = true;
      });
      return true;
    }
    const { woken } = this;
    this.woken = false;
    return woken;
  }

  close(): void {
    this.stop?.();
    this.stop = undefined;
    this.woken = false;
  }
}

/** Of keys, of one lock or of one sequence. */
class WatchNews implements News {
  private readonly node: KahunaNode;
  private readonly subject: WatchSubject;
  private watch: Watch | undefined;
  private woken = false;
  private endedAtMs = Number.NEGATIVE_INFINITY;

  constructor(node: KahunaNode, subject: WatchSubject) {
    this.node = node;
    this.subject = subject;
  }

  get isWatching(): boolean {
    return this.watch !== undefined;
  }

  /** Opens the watch, and opens it again where it has ended. */
  hasCome(nowMs: number): boolean {
    if (this.watch === undefined) {
      if (nowMs - this.endedAtMs < REOPEN_AFTER_MS) return false;
      this.open();
      return true;
    }
    if (!this.woken) return false;
    this.woken = false;
    const { watch } = this;
    while (watch.take(TAKEN_BYTES).length > 0) {
      // what happened is read, not taken from the events
    }
    if (watch.end !== undefined) {
      this.close();
      this.endedAtMs = nowMs;
    }
    return true;
  }

  private open(): void {
    this.woken = false;
    this.watch = this.node.watch({ shape: this.subject, start: { kind: 'now' } }, () => {
      this.woken = true;
    });
  }

  close(): void {
    this.watch?.close();
    this.watch = undefined;
    this.endedAtMs = Number.NEGATIVE_INFINITY;
  }
}

/** What to watch for a topic that is read on demand; undefined: nothing tells of its changes. */
export function newsOf(topic: Topic, params: TopicParams, node: KahunaNode): News | undefined {
  if (topic === 'locks' || topic === 'sequences') {
    return new ListNews(changed => node.watchNames(topic, params.prefix ?? '', changed));
  }
  const subject = params.asOfMs === undefined ? subjectOf(topic, params) : undefined;
  return subject === undefined ? undefined : new WatchNews(node, subject);
}

function subjectOf(topic: Topic, { key, prefix, from, resource, name, durability }: TopicParams): WatchSubject | undefined {
  switch (topic) {
    case 'sequence':
      return { kind: 'sequence', name: name ?? '' };
    case 'lock':
      return { kind: 'lock', name: resource ?? '', durability: durabilityOf(durability) };
    case 'key':
      // Ephemeral keys are in no log.
      return durability === 'ephemeral' ? undefined : { kind: 'key', key: key ?? '' };
    case 'keys': {
      const lower = from === undefined ? undefined : { key: from, inclusive: false };
      return durability === 'ephemeral' ? undefined : { kind: 'space', keySpace: prefix ?? '', lower, upper: undefined };
    }
    default:
      return undefined;
  }
}
