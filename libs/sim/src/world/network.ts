import { assert } from '@kahuna/base';
import type { Transport, TransportListener } from '@kahuna/node';
import type { SimProcess } from './machine.ts';
import type { Reached } from './reached.ts';
import { hashBytes, type Simulation } from './simulation.ts';

export interface NetworkOptions {
  /** One-way delay of a frame: minimum plus an exponential tail with this mean. Milliseconds. */
  readonly delayMinMs: number;
  readonly delayMeanMs: number;
  /** Probability per frame that its stream breaks. */
  readonly breakChance: number;
  /** Probabilities per frame of what an ordered stream would never do; the protocol must survive it all the same. */
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly reorderChance: number;
}

export const CALM_NETWORK: NetworkOptions = {
  delayMinMs: 0.2,
  delayMeanMs: 0.5,
  breakChance: 0,
  lossChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
};

/**
 * What happens to a direction that is cut. `break`: the stream ends and what is under way is lost. `stall`: as with dropped packets
 * under TCP, frames wait and arrive, all late, when the cut is healed.
 */
export type CutMode = 'break' | 'stall';

/** Bytes queued towards a peer beyond which frames are refused. */
const QUEUE_LIMIT_BYTES = 16 * 1024 * 1024;

/** Longest gap between two frames that waited behind a cut, once it is healed. Milliseconds. */
const RESUME_GAP_MS = 10;

/** Streams between nodes: ordered, framed, breakable. One stream per pair, whoever dials. */
export class SimNetwork {
  options: NetworkOptions;
  private readonly simulation: Simulation;
  private readonly ends = new Map<string, SimTransport>();
  private readonly links = new Map<string, Link>();
  private readonly cuts = new Map<string, CutMode>();
  /** Sees every frame as it leaves; the checkers decode what they want to know. */
  onSend: (from: SimTransport, to: string, frame: Uint8Array) => void = () => undefined;

  readonly reached: Reached;

  constructor(simulation: Simulation, reached: Reached, options: NetworkOptions = CALM_NETWORK) {
    this.simulation = simulation;
    this.reached = reached;
    this.options = options;
  }

  /** The transport of a new process; the former one of this endpoint must be {@link SimTransport.kill dead}. */
  attach(endpoint: string, process: SimProcess): SimTransport {
    assert(this.ends.get(endpoint)?.process.isAlive !== true, `${endpoint} already has a process`);
    const transport = new SimTransport(this, endpoint, process);
    this.ends.set(endpoint, transport);
    return transport;
  }

  /** Cuts the direction `from` → `to`. */
  cut(from: string, to: string, mode: CutMode): void {
    this.cuts.set(direction(from, to), mode);
    if (mode === 'stall') this.reached.note('link stalled');
    const link = this.links.get(pairName(from, to));
    if (mode === 'break') link?.break('cut');
  }

  /** Heals one direction. */
  heal(from: string, to: string): void {
    if (!this.cuts.delete(direction(from, to))) return;
    this.links.get(pairName(from, to))?.release(from);
  }

  healAll(): void {
    for (const name of [...this.cuts.keys()]) {
      const [from, to] = name.split(' ') as [string, string];
      this.heal(from, to);
    }
  }

  /** Cuts a node off from all others, both ways or one way. */
  isolate(endpoint: string, mode: CutMode, ways: 'both' | 'in' | 'out'): void {
    this.reached.note(ways === 'both' ? 'full isolation' : 'one-way isolation');
    for (const other of this.ends.keys()) {
      if (other === endpoint) continue;
      if (ways !== 'in') this.cut(endpoint, other, mode);
      if (ways !== 'out') this.cut(other, endpoint, mode);
    }
  }

  breakStream(a: string, b: string): void {
    this.links.get(pairName(a, b))?.break('reset');
  }

  cutMode(from: string, to: string): CutMode | undefined {
    return this.cuts.get(direction(from, to));
  }

  end(endpoint: string): SimTransport | undefined {
    return this.ends.get(endpoint);
  }

  link(a: string, b: string): Link {
    const name = pairName(a, b);
    let link = this.links.get(name);
    if (link === undefined) {
      link = new Link(this.simulation, this, a < b ? a : b, a < b ? b : a);
      this.links.set(name, link);
    }
    return link;
  }

  linksOf(endpoint: string): Link[] {
    return [...this.links.values()].filter(link => link.low === endpoint || link.high === endpoint);
  }

  delayMs(): number {
    const { delayMinMs, delayMeanMs } = this.options;
    return delayMinMs - Math.log(1 - this.simulation.rng.float()) * delayMeanMs;
  }
}

function direction(from: string, to: string): string {
  return `${from} ${to}`;
}

function pairName(a: string, b: string): string {
  return a < b ? direction(a, b) : direction(b, a);
}

/** One process' end of all its streams. */
export class SimTransport implements Transport {
  listener: TransportListener = UNSET_LISTENER;
  readonly endpoint: string;
  readonly process: SimProcess;
  private readonly network: SimNetwork;
  private readonly wanted = new Set<string>();

  constructor(network: SimNetwork, endpoint: string, process: SimProcess) {
    this.network = network;
    this.endpoint = endpoint;
    this.process = process;
  }

  connect(endpoint: string): void {
    if (this.wanted.has(endpoint) || endpoint === this.endpoint) return;
    this.wanted.add(endpoint);
    this.network.link(this.endpoint, endpoint).dialSoon();
  }

  disconnect(endpoint: string): void {
    if (!this.wanted.delete(endpoint)) return;
    this.network.link(this.endpoint, endpoint).break('disconnected');
  }

  wants(endpoint: string): boolean {
    return this.process.isAlive && this.wanted.has(endpoint);
  }

  send(endpoint: string, frame: Uint8Array): boolean {
    if (!this.process.isAlive) return false;
    return this.network.link(this.endpoint, endpoint).send(this, endpoint, frame.slice());
  }

  queuedBytes(endpoint: string): number {
    return this.network.link(this.endpoint, endpoint).queuedBytes(this.endpoint);
  }

  close(done: () => void): void {
    this.wanted.clear();
    for (const link of this.network.linksOf(this.endpoint)) link.break('closed');
    this.process.soon(done);
  }

  /** The process is gone: its streams are reset, peers notice. */
  kill(): void {
    this.wanted.clear();
    for (const link of this.network.linksOf(this.endpoint)) link.break('peer died');
  }
}

const UNSET_LISTENER: TransportListener = {
  hello: () => new Uint8Array(0),
  onHello: () => ({ refused: 'not started' }),
  onUp: () => undefined,
  onDown: () => undefined,
  onFrame: () => undefined,
};

/** One direction of one life of a stream. */
interface Lane {
  readonly from: string;
  readonly to: string;
  /** The receiving process has been told that the stream is up. */
  open: boolean;
  /** No frame arrives before this instant: order is kept. */
  freeAt: number;
  sent: number;
  arrived: number;
  queuedBytes: number;
  /** Frames numbered above this are lost: set when the stream breaks. */
  lostAbove: number;
  readonly held: (() => void)[];
}

/** One stream's life: from the dialling to the break. */
interface Session {
  readonly lowEnd: SimTransport;
  readonly highEnd: SimTransport;
  readonly toHigh: Lane;
  readonly toLow: Lane;
  broken: boolean;
}

/** The (at most one) stream between two endpoints. */
class Link {
  readonly low: string;
  readonly high: string;
  private readonly simulation: Simulation;
  private readonly network: SimNetwork;
  private session: Session | undefined;
  private dialPending = false;

  constructor(simulation: Simulation, network: SimNetwork, low: string, high: string) {
    this.simulation = simulation;
    this.network = network;
    this.low = low;
    this.high = high;
  }

  dialSoon(delayMs = this.simulation.rng.float() * 20): void {
    if (this.dialPending) return;
    this.dialPending = true;
    this.simulation.after(delayMs, () => {
      this.dialPending = false;
      this.dial();
    });
  }

  queuedBytes(from: string): number {
    return this.session === undefined ? 0 : this.lane(this.session, from).queuedBytes;
  }

  send(sender: SimTransport, to: string, frame: Uint8Array): boolean {
    const session = this.session;
    if (session === undefined || session.broken) return true; // down: dropped, the host has been or will be told
    const back = this.lane(session, to);
    if (!back.open || this.endOf(session, sender.endpoint) !== sender) return true;
    const lane = this.lane(session, sender.endpoint);
    if (lane.queuedBytes + frame.length > QUEUE_LIMIT_BYTES) return false;
    this.network.onSend(sender, to, frame);
    const { rng } = this.simulation;
    const { lossChance, duplicateChance, reorderChance, breakChance } = this.network.options;
    if (breakChance > 0 && rng.chance(breakChance)) {
      this.break('reset');
      return true;
    }
    const { reached } = this.network;
    if (lossChance > 0 && rng.chance(lossChance)) {
      reached.note('frame lost');
      return true;
    }
    const copies = duplicateChance > 0 && rng.chance(duplicateChance) ? 2 : 1;
    const inOrder = !(reorderChance > 0 && rng.chance(reorderChance));
    if (copies > 1) reached.note('frame duplicated');
    if (!inOrder) reached.note('frame reordered');
    for (let i = 0; i < copies; i++) {
      this.transmit(session, lane, frame.length, inOrder && i === 0, () => {
        if (!back.open && !lane.open) return;
        const receiver = this.endOf(session, to);
        receiver.process.deliver(() => {
          this.simulation.trace.note(this.simulation.nowMs, 'frame', to, hashBytes(frame));
          receiver.listener.onFrame(sender.endpoint, frame);
        });
      });
    }
    return true;
  }

  /** Ends the stream: a random suffix of what is under way is lost, then both ends are told. The next dial follows with back-off. */
  break(reason: string): void {
    const session = this.session;
    if (session === undefined || session.broken) return;
    session.broken = true;
    for (const lane of [session.toHigh, session.toLow]) {
      const { rng } = this.simulation;
      lane.lostAbove = lane.held.length > 0 ? lane.arrived : rng.int(lane.arrived, lane.sent);
      lane.held.length = 0;
      const end = this.endOf(session, lane.to);
      const peer = lane.from;
      const tellAt = Math.max(this.simulation.nowMs, lane.freeAt) + rng.float() * 5;
      this.simulation.after(tellAt - this.simulation.nowMs, () => {
        if (lane.open) {
          lane.open = false;
          end.process.deliver(() => {
            this.simulation.trace.note(this.simulation.nowMs, 'down', end.endpoint, lane.arrived);
            end.listener.onDown(peer, reason);
          });
        }
        if (!session.toHigh.open && !session.toLow.open && this.session === session) {
          this.session = undefined;
          this.dialSoon(20 + rng.float() * 180);
        }
      });
    }
  }

  /** A cut direction is healed: what waited arrives now. */
  release(from: string): void {
    if (this.session === undefined) {
      this.dialSoon();
      return;
    }
    const lane = this.lane(this.session, from);
    const held = lane.held.splice(0);
    lane.freeAt = this.simulation.nowMs;
    // A sender that was not answered feels its way back: what waited comes in dribs and drabs.
    for (const arrive of held) {
      lane.freeAt += this.simulation.rng.float() * RESUME_GAP_MS;
      this.schedule(lane, true, arrive);
    }
  }

  private lane(session: Session, from: string): Lane {
    return from === this.low ? session.toHigh : session.toLow;
  }

  private endOf(session: Session, endpoint: string): SimTransport {
    return endpoint === this.low ? session.lowEnd : session.highEnd;
  }

  private transmit(session: Session, lane: Lane, bytes: number, inOrder: boolean, arrive: () => void): void {
    const number = ++lane.sent;
    lane.queuedBytes += bytes;
    const onArrival = (): void => {
      lane.queuedBytes -= bytes;
      if (number > lane.lostAbove) return;
      lane.arrived = Math.max(lane.arrived, number);
      arrive();
    };
    const mode = this.network.cutMode(lane.from, lane.to);
    if (mode === 'stall' || lane.held.length > 0) lane.held.push(onArrival);
    else if (mode === 'break') this.break('cut');
    else if (!session.broken) this.schedule(lane, inOrder, onArrival);
  }

  private schedule(lane: Lane, inOrder: boolean, arrive: () => void): void {
    let at = this.simulation.nowMs + this.network.delayMs();
    if (inOrder) {
      at = Math.max(at, lane.freeAt);
      lane.freeAt = at;
    } else {
      at += this.simulation.rng.float() * 100;
    }
    this.simulation.after(at - this.simulation.nowMs, arrive);
  }

  private dial(): void {
    if (this.session !== undefined) return;
    const lowEnd = this.network.end(this.low);
    const highEnd = this.network.end(this.high);
    const wanted = lowEnd?.wants(this.high) === true || highEnd?.wants(this.low) === true;
    if (!wanted) return;
    const reachable =
      lowEnd?.process.isAlive === true &&
      highEnd?.process.isAlive === true &&
      this.network.cutMode(this.low, this.high) === undefined &&
      this.network.cutMode(this.high, this.low) === undefined;
    if (!reachable) {
      this.dialSoon(50 + this.simulation.rng.float() * 200);
      return;
    }
    const session: Session = {
      lowEnd,
      highEnd,
      toHigh: newLane(this.low, this.high),
      toLow: newLane(this.high, this.low),
      broken: false,
    };
    this.session = session;
    const dialler = lowEnd.wants(this.high) ? lowEnd : highEnd;
    this.shakeHands(session, dialler, dialler === lowEnd ? highEnd : lowEnd);
  }

  /** Hello there, hello back; each side is up once it has accepted the other's. */
  private shakeHands(session: Session, dialler: SimTransport, accepter: SimTransport): void {
    const there = this.lane(session, dialler.endpoint);
    const back = this.lane(session, accepter.endpoint);
    const hello = dialler.listener.hello().slice();
    this.transmit(session, there, hello.length, true, () =>
      accepter.process.deliver(() => {
        if (session.broken || !this.admit(session, accepter, there, accepter.listener.onHello(hello, undefined))) return;
        const answer = accepter.listener.hello().slice();
        this.transmit(session, back, answer.length, true, () =>
          dialler.process.deliver(() => {
            if (session.broken) return;
            if (this.admit(session, dialler, back, dialler.listener.onHello(answer, accepter.endpoint))) {
              dialler.listener.onUp(accepter.endpoint);
            }
          }),
        );
        accepter.listener.onUp(dialler.endpoint);
      }),
    );
  }

  private admit(session: Session, end: SimTransport, lane: Lane, verdict: { endpoint: string } | { refused: string }): boolean {
    if ('refused' in verdict) {
      this.simulation.trace.remark(this.simulation.nowMs, `${end.endpoint} refuses ${lane.from}: ${verdict.refused}`);
      if (this.session === session) this.break('refused');
      return false;
    }
    assert(verdict.endpoint === lane.from, 'a hello names the endpoint it came from');
    lane.open = true;
    this.simulation.trace.note(this.simulation.nowMs, 'up', end.endpoint, 0);
    return true;
  }
}

function newLane(from: string, to: string): Lane {
  return {
    from,
    to,
    open: false,
    freeAt: 0,
    sent: 0,
    arrived: 0,
    queuedBytes: 0,
    lostAbove: Number.POSITIVE_INFINITY,
    held: [],
  };
}
