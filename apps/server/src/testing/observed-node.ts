import type { KahunaNode, MembershipView, MemberView, NodeFacts, NodeHost, ResultSink } from '@kahuna/node';
import type { OperationResult } from '@kahuna/partition';
import { createMemoryHost, type MemoryHostOptions, startMemoryHost } from '../runtime/memory-host.ts';

export type Submitted = Parameters<KahunaNode['submit']>[0];

/** Views that are the same in every run, in place of the node's own. */
export interface FixedViews extends Partial<Pick<KahunaNode, 'routing' | 'instruments'>> {
  readonly facts?: (own: NodeFacts) => NodeFacts;
}

/**
 * A real node in memory that serves what the gateways ask of it, and what one node alone cannot bring about: answers that are held
 * back, a leader elsewhere, a second member, a node that is not ready.
 */
export class ObservedNode implements KahunaNode {
  /** Everything submitted, in order. */
  readonly operations: Submitted[] = [];
  /** Submitted and not answered. */
  pending = 0;
  /** Answer of the next operations instead of their effect. */
  scripted: OperationResult | undefined;
  /** Operations on this key reach the node only by {@link releaseHeld}. */
  holdKey: string | undefined;
  /** What is submitted in one turn takes effect in the opposite order, as after a change of leader it may. */
  reversed = false;
  /** Answers say that the other member gave them. */
  forwarded = false;
  /** In place of the node's own health. */
  healthView: ReturnType<KahunaNode['health']> | undefined;

  private readonly real: NodeHost;
  private readonly otherMember: MemberView;
  private readonly views: FixedViews;
  private held: (() => void)[] = [];
  private backwards: (() => void)[] = [];

  private constructor(real: NodeHost, otherMember: MemberView, views: FixedViews) {
    this.real = real;
    this.otherMember = otherMember;
    this.views = views;
  }

  static async start(options: MemoryHostOptions, otherMember: MemberView, views: FixedViews = {}): Promise<ObservedNode> {
    const faults: string[] = [];
    const real = createMemoryHost(options, reason => faults.push(reason));
    await startMemoryHost(real);
    return new ObservedNode(real, otherMember, views);
  }

  stop(): Promise<void> {
    return new Promise(resolve => this.real.stop(resolve));
  }

  watch(...args: Parameters<KahunaNode['watch']>): ReturnType<KahunaNode['watch']> {
    return this.real.watch(...args);
  }

  submit(operation: Submitted, sink: ResultSink, token: number, deadlineMs: number): void {
    this.operations.push(operation);
    this.pending += 1;
    const complete = (_token: number, result: OperationResult): void => {
      this.pending -= 1;
      sink.complete(token, this.forwarded ? this.asForwarded(result) : result);
    };
    const { scripted } = this;
    const run = (): void => {
      if (scripted === undefined) this.real.submit(operation, { complete }, 0, deadlineMs);
      else setImmediate(() => complete(0, scripted));
    };
    if (operation.key === this.holdKey) this.held.push(run);
    else if (this.reversed) {
      if (this.backwards.length === 0) setImmediate(() => this.runBackwards());
      this.backwards.unshift(run);
    } else run();
  }

  private asForwarded(result: OperationResult): OperationResult {
    const { route } = result;
    if (route === undefined) return result;
    return { ...result, route: { ...route, nodeId: this.otherMember.nodeId, forwarded: true } };
  }

  private runBackwards(): void {
    for (const run of this.backwards.splice(0)) run();
  }

  /** Submits what was held back, and holds nothing back any more. */
  releaseHeld(): void {
    this.holdKey = undefined;
    for (const run of this.held.splice(0)) run();
  }

  membership(): MembershipView {
    const view = this.real.membership();
    const { localRole, initialized } = this.healthView ?? view;
    return { ...view, members: [...view.members, this.otherMember], localRole, initialized };
  }

  health(): ReturnType<KahunaNode['health']> {
    return this.healthView ?? this.real.health();
  }

  routing(keySpace: string | undefined): ReturnType<KahunaNode['routing']> {
    return this.views.routing?.(keySpace) ?? this.real.routing(keySpace);
  }

  facts(): ReturnType<KahunaNode['facts']> {
    const own = this.real.facts();
    return this.views.facts?.(own) ?? own;
  }

  instruments(): ReturnType<KahunaNode['instruments']> {
    return this.views.instruments?.() ?? this.real.instruments();
  }

  get events(): KahunaNode['events'] {
    return this.real.events;
  }

  scan(...args: Parameters<KahunaNode['scan']>): ReturnType<KahunaNode['scan']> {
    return this.real.scan(...args);
  }

  hold(...args: Parameters<KahunaNode['hold']>): ReturnType<KahunaNode['hold']> {
    return this.real.hold(...args);
  }

  keySpaces(...args: Parameters<KahunaNode['keySpaces']>): ReturnType<KahunaNode['keySpaces']> {
    return this.real.keySpaces(...args);
  }

  list(...args: Parameters<KahunaNode['list']>): ReturnType<KahunaNode['list']> {
    return this.real.list(...args);
  }

  peerFacts(nodeId: number): ReturnType<KahunaNode['peerFacts']> {
    return this.real.peerFacts(nodeId);
  }

  watchNames(...args: Parameters<KahunaNode['watchNames']>): ReturnType<KahunaNode['watchNames']> {
    return this.real.watchNames(...args);
  }

  shareWithPeers(share: (nodeId: number) => unknown): void {
    this.real.shareWithPeers(share);
  }

  gatherPeerFacts(): () => void {
    return this.real.gatherPeerFacts();
  }

  transferLeadership(partitionId: number, toNodeId: number): boolean {
    return this.real.transferLeadership(partitionId, toNodeId);
  }

  requestTransfer(partitionId: number, toNodeId: number): boolean {
    return this.real.requestTransfer(partitionId, toNodeId);
  }
}
