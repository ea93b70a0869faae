import type { KahunaNode } from '@kahuna/node';
import type { Route } from '@kahuna/partition';
import type { HintOptions } from '../grpc/index.ts';

/** Turns where an operation was served into what the client is told about it (spec rest §5.2, routing §4.2). */
export class RouteHints {
  private readonly node: KahunaNode;
  private readonly options: HintOptions;

  constructor(node: KahunaNode, options: HintOptions) {
    this.node = node;
    this.options = options;
  }

  /** JSON of one hint, `null` where there is none. */
  json(route: Route | undefined): string {
    if (route === undefined || this.options.disabled) return 'null';
    const endpoint = JSON.stringify(this.endpoint(route));
    return `{"partitionId":${route.partitionId},"endpoint":${endpoint},"provenance":${route.forwarded ? 2 : 1},"generation":${route.generation}}`;
  }

  private endpoint(route: Route): string {
    if (!route.forwarded) return this.options.localUrl;
    if (this.options.hidePeers) return '';
    return this.node.membership().members.find(member => member.nodeId === route.nodeId)?.clientUrl ?? '';
  }
}

/** The route table of one batch answer: each distinct hint once, items point into it from 1; 0 = none. */
export class RouteTable {
  private readonly hints: RouteHints;
  private readonly rows: string[] = [];
  private readonly indexes = new Map<string, number>();

  constructor(hints: RouteHints) {
    this.hints = hints;
  }

  index(route: Route | undefined): number {
    const row = this.hints.json(route);
    if (row === 'null') return 0;
    const known = this.indexes.get(row);
    if (known !== undefined) return known;
    this.rows.push(row);
    this.indexes.set(row, this.rows.length);
    return this.rows.length;
  }

  json(): string {
    return this.rows.length === 0 ? 'null' : `[${this.rows.join(',')}]`;
  }
}
