import { ByteWriter, HLC_ZERO, type Hlc } from '@kahuna/base';
import type { Hello } from './hello.ts';
import { type FrameHeader, ItemKind, writeClock, writeHeader } from './peer-frame.ts';

/**
 * What this node knows of one other node, and the pair heartbeats between them.
 *
 * Leases (design §5; dissertation §6.4.1 with per-pair instead of per-group heartbeats). A heartbeat asks for a promise: for
 * `promiseMs` after its receipt the receiver gives no vote or pre-vote in any group that it follows under a leader on the sender.
 * The sender counts the time from the *sending*, so a slow answer shortens the lease and never stretches it.
 *
 * A pair answer speaks for a group only if that group's replica on the peer follows the leader. Two numbers say so without a
 * message per group: every frame carries the peer's boot and its `allegiance`, which grows whenever any of its replicas leaves a leader
 * on this node. A group remembers both as they were when the peer answered it in the present term; while they are
 * unchanged, the peer has neither restarted nor left.
 */
export class Peer {
  readonly endpoint: string;
  /** 0 until the first hello. */
  nodeId = 0;
  hello: Hello | undefined;
  connected = false;
  /** Boot and allegiance in the newest frame of the peer. */
  boot = 0;
  allegiance = 0;
  /** The peer's clock in that frame: whatever it stamps from then on is above it. */
  toldClock: Hlc = HLC_ZERO;

  // As one that may lead groups which we follow.
  /** Monotonic instant of its last heartbeat, -Infinity before the first. */
  heartbeatReceivedAt = Number.NEGATIVE_INFINITY;
  /** Until this monotonic instant we vote for nobody in groups that we follow under it. */
  promisedUntil = Number.NEGATIVE_INFINITY;
  /** Its heartbeats come regularly. False: groups that follow it are awake and count towards an election. */
  alive = false;

  // As one that may follow groups which we lead.
  /** Send times of heartbeats not yet answered, by sequence number; bounded. */
  private readonly sent: { seq: number; monotonic: number; wall: number }[] = [];
  private nextSeq = 1;
  lastHeartbeatSentAt = Number.NEGATIVE_INFINITY;
  /** Send times of the newest heartbeat that was answered with a promise, in the peer's boot and allegiance of that answer. */
  answeredMonotonic = Number.NEGATIVE_INFINITY;
  answeredWall = Number.NEGATIVE_INFINITY;
  answeredBoot = 0;
  answeredAllegiance = 0;
  rttMs = 0;
  /** Its wall clock minus ours, from the last round trip, milliseconds. */
  clockOffsetMs = 0;

  private skewToldAt = Number.NEGATIVE_INFINITY;
  private allegianceToIt = 1;
  private framesSent = 0;
  /** Number of the newest frame taken from the present boot. */
  private framesTaken = 0;

  private readonly writer = new ByteWriter(64 * 1024);
  private frameOpen = false;
  private clock: () => Hlc = () => HLC_ZERO;
  /** Place of the clock in the frame under construction. */
  private clockAt = 0;
  private readonly finished: Uint8Array[] = [];

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  /** The writer of the frame under construction; items are appended to it until `takeFrame`. `clock` is asked when the frame ends. */
  openFrame(ourBoot: number, ourNodeId: number, clock: () => Hlc): ByteWriter {
    if (!this.frameOpen) {
      this.frameOpen = true;
      this.clock = clock;
      this.clockAt = writeHeader(this.writer, {
        senderBoot: ourBoot,
        receiverBoot: this.boot,
        number: ++this.framesSent,
        allegiance: this.allegianceToIt,
        nodeId: ourNodeId,
      });
    }
    return this.writer;
  }

  get frameBytes(): number {
    return this.frameOpen ? this.writer.length : 0;
  }

  /**
   * Decides whether a frame may take effect, and remembers what its header says. False: of an older process on either side, or a
   * repetition. `ourBoot` is the receiver's.
   */
  admits(header: FrameHeader, ourBoot: number): boolean {
    if (header.receiverBoot !== ourBoot) return false;
    if (header.senderBoot !== this.boot || header.number <= this.framesTaken) return false;
    this.framesTaken = header.number;
    this.allegiance = header.allegiance;
    this.toldClock = header.clock;
    return true;
  }

  /** A hello of a new process: nothing that the old one answered or promised to count for us holds any more. Returns true if the boot changed. */
  bootIs(boot: number): boolean {
    if (boot === this.boot) return false;
    this.boot = boot;
    this.framesTaken = 0;
    this.allegiance = 0;
    this.toldClock = HLC_ZERO;
    return true;
  }

  /** Its clock is too far ahead, which every frame shows: true if that has not been said for a while. */
  tellsOfSkew(now: number): boolean {
    if (now - this.skewToldAt < SKEW_TOLD_EVERY_MS) return false;
    this.skewToldAt = now;
    return true;
  }

  /**
   * Ends the frame under construction; it leaves with the next `takeFrames`. Only now is the clock told: an answer in the frame may
   * carry a stamp that was minted after the frame was opened, and who has seen an answer must stamp what it does next above it.
   */
  finishFrame(): void {
    if (!this.frameOpen) return;
    this.frameOpen = false;
    writeClock(this.writer, this.clockAt, this.clock());
    this.finished.push(this.writer.finish());
  }

  /** Hands every finished frame to `send`, in order. */
  takeFrames(send: (frame: Uint8Array) => void): void {
    this.finishFrame();
    for (const frame of this.finished) send(frame);
    this.finished.length = 0;
  }

  /**
   * One of our replicas left a leader on this peer. All items of one frame must have been written under the allegiance in its
   * header: an answer from before would otherwise speak for the time after. So an open frame ends here.
   */
  left(): void {
    this.finishFrame();
    this.allegianceToIt++;
  }

  writeHeartbeat(writer: ByteWriter, monotonic: number, wall: number, promiseMs: number): void {
    const seq = this.nextSeq++;
    this.sent.push({ seq, monotonic, wall });
    if (this.sent.length > MAX_UNANSWERED) this.sent.shift();
    this.lastHeartbeatSentAt = monotonic;
    writer.u8(ItemKind.Heartbeat);
    writer.varint(seq);
    writer.varint(promiseMs);
  }

  /** An answer to heartbeat `seq`, given in a frame with the peer's present boot and allegiance. Returns false if it was not waited for. */
  heartbeatAnswered(seq: number, promised: boolean, monotonic: number, wall: number, peerWallMs: number): boolean {
    const at = this.sent.findIndex(entry => entry.seq === seq);
    if (at < 0) return false;
    const entry = this.sent[at] as { monotonic: number; wall: number };
    this.sent.splice(0, at + 1);
    this.rttMs = monotonic - entry.monotonic;
    this.clockOffsetMs = peerWallMs - (wall - this.rttMs / 2);
    if (promised && entry.monotonic > this.answeredMonotonic) {
      this.answeredMonotonic = entry.monotonic;
      this.answeredWall = entry.wall;
      this.answeredBoot = this.boot;
      this.answeredAllegiance = this.allegiance;
    }
    return true;
  }

  /** The stream broke: what was sent may be lost. Promises, ours and theirs, stay in force. */
  linkLost(): void {
    this.connected = false;
    this.sent.length = 0;
    this.finishFrame();
    this.finished.length = 0;
  }
}

const MAX_UNANSWERED = 64;
const SKEW_TOLD_EVERY_MS = 10_000;
