import { compareHlc, type Hlc, type PartitionId } from '@kahuna/base';
import { NamedWatch } from './named-watch.ts';
import type { LockSubject, SequenceSubject, WatchEvent, WatchStart } from './watch-api.ts';
import type { Feed } from './watch-feed.ts';
import type { WatchHost } from './watch-part.ts';
import { LockTopic, type SequenceTopic } from './watch-topics.ts';

/** A state that is being installed is looked at again after this. Milliseconds. */
const INSTALL_PAUSE_MS = 50;

/** A watch of one persistent lock or one sequence, out of what this node's replica has applied. */
export class NameWatch extends NamedWatch {
  private readonly notBefore: Hlc | undefined;
  private readonly feed: Feed;
  private readonly topic: LockTopic | SequenceTopic;

  constructor(host: WatchHost, subject: LockSubject | SequenceSubject, start: WatchStart, feed: Feed, wake: () => void) {
    super(host, wake);
    this.notBefore = seenAt(start, host.cluster, feed.partitionId);
    this.feed = feed;
    this.topic = feed.join(subject, this);
    this.begin();
  }

  protected get partitionId(): PartitionId {
    return this.feed.partitionId;
  }

  protected get stamp(): Hlc {
    return this.feed.stamp;
  }

  protected snapshot(): WatchEvent {
    return this.topic.snapshot(this.feed.stamp);
  }

  /** What was seen elsewhere must be applied here too. */
  protected begin(): void {
    const { notBefore, feed } = this;
    if (notBefore === undefined || compareHlc(feed.stamp, notBefore) >= 0) this.look();
    else feed.waitFor(this, notBefore, () => this.look());
  }

  private look(): void {
    if (this.isClosed) return;
    const { topic, feed } = this;
    if (topic.isKnown) this.known();
    else if (feed.replica.installing) this.host.node.after(INSTALL_PAUSE_MS, () => this.look());
    else {
      const row = topic.look(feed.replica.machine);
      if (row !== undefined) this.read(row);
      else {
        if (topic instanceof LockTopic) feed.topics.track(topic);
        this.known();
      }
    }
  }

  /** Callbacks and no promises: turns of a simulation are not those of the event loop. */
  private read(key: Uint8Array): void {
    const { replica } = this.feed;
    this.host.engine.getMany([key], (error, [value]) => {
      if (this.host.node.failedEngine(error)) {
        this.fail('unavailable');
        return;
      }
      // The row of a state that is being replaced says nothing.
      if (!replica.installing) replica.machine.supply([{ key, value }]);
      this.look();
    });
  }

  protected leave(): void {
    this.feed.leave(this.topic, this);
  }
}

/** What a watch has seen already. What it saw in another cluster says nothing here: the snapshot with which it begins says that all is new. */
function seenAt(start: WatchStart, cluster: string, partitionId: PartitionId): Hlc | undefined {
  if (start.kind !== 'places' || (start.cluster ?? cluster) !== cluster) return undefined;
  return start.places.get(partitionId)?.stamp;
}
