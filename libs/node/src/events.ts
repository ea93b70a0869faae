import type { Clock } from '@kahuna/base';
import type { EventLog, NodeEvent } from './api.ts';

/** The last events of this node, bounded; new ones are pushed to subscribers. Recording goes on whether or not anybody looks. */
export class EventRing implements EventLog {
  private readonly ring: NodeEvent[] = [];
  private readonly listeners = new Set<(event: NodeEvent) => void>();
  private seq = 0;
  private readonly clock: Clock;
  private readonly capacity: number;

  constructor(clock: Clock, capacity = 10_000) {
    this.clock = clock;
    this.capacity = capacity;
  }

  record(kind: string, severity: NodeEvent['severity'], subject: string, text: string, data: NodeEvent['data'] = {}): void {
    const event: NodeEvent = { seq: ++this.seq, atMs: Math.floor(this.clock.wallMs()), kind, severity, subject, text, data };
    this.ring.push(event);
    if (this.ring.length > this.capacity * 1.25) this.ring.splice(0, this.ring.length - this.capacity);
    for (const listener of this.listeners) listener(event);
  }

  recent(limit: number, beforeSeq = Number.MAX_SAFE_INTEGER): readonly NodeEvent[] {
    const end = this.ring.findLastIndex(event => event.seq < beforeSeq) + 1;
    return this.ring.slice(Math.max(0, end - limit), end);
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
