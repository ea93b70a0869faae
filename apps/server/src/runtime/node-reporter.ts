import { FIRST_DATA_PARTITION } from '@kahuna/base';
import type { KahunaNode, NodeEvent } from '@kahuna/node';
import type { ComponentLog } from './logger.ts';

const LOOK_EVERY_MS = 100;

/**
 * Writes what the node does into the log: its events, and the lines whose exact shape other tools match (spec operations §4.3, §15).
 * `onReady` is called once, when the node first serves.
 */
export class NodeReporter {
  private readonly node: KahunaNode;
  private readonly log: ComponentLog;
  private readonly onReady: () => void;
  private readonly timer: NodeJS.Timeout;
  private readonly unsubscribe: () => void;
  private hosted = new Set<number>();
  private ready = false;

  constructor(node: KahunaNode, log: ComponentLog, onReady: () => void) {
    this.node = node;
    this.log = log;
    this.onReady = onReady;
    this.unsubscribe = node.events.subscribe(event => this.reportEvent(event));
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.unsubscribe();
  }

  private reportEvent(event: NodeEvent): void {
    const fields = { subject: event.subject, ...event.data };
    if (event.severity === 'critical') this.log.critical(event.text, fields);
    else if (event.severity === 'warning') this.log.warn(event.text, fields);
    else this.log.info(event.text, fields);
  }

  private look(): void {
    const initialized = this.node.health().initialized;
    if (initialized) this.reportHosting();
    if (this.ready || !this.node.health().ready) return;
    this.ready = true;
    this.onReady();
  }

  private reportHosting(): void {
    const { hostedPartitions } = this.node.health();
    if (hostedPartitions === this.hosted.size) return;
    const ids = this.node.facts().partitions.map(({ partitionId }) => partitionId);
    const now = new Set(ids.filter(id => id >= FIRST_DATA_PARTITION).sort((a, b) => a - b));
    const started = [...now].filter(id => !this.hosted.has(id));
    const stopped = [...this.hosted].filter(id => !now.has(id));
    this.hosted = now;
    if (started.length > 0) this.log.info(`Started hosting ${started.length} partition(s): ${started.join(', ')}`);
    if (stopped.length > 0) this.log.info(`Stopped hosting ${stopped.length} partition(s): ${stopped.join(', ')}`);
    this.log.info(
      `Partition placement: replication factor 0 (full replication), rebalancer disabled, hosting ${now.size} of ${now.size} partitions`,
    );
  }
}
