import type { IncomingMessage } from 'node:http';
import { NoServer } from '../failures.ts';

/** Members of the documents that nodes answer with (rest §15 to §17); who reads one sees what came in its place. */
type Member =
  | 'success'
  | 'status'
  | 'reason'
  | 'determinate'
  | 'leaderHint'
  | 'detail'
  | 'initialized'
  | 'localEndpoint'
  | 'generation'
  | 'partitionId'
  // Leaving.
  | 'left'
  | 'drained'
  | 'retryable'
  | 'outcome'
  | 'membershipVersion'
  // Placement.
  | 'replicationFactor'
  | 'rebalancerEnabled'
  | 'hostedPartitionCount'
  | 'partitions'
  | 'state'
  | 'effectiveReplicationFactor'
  | 'hostedLocally'
  | 'replicas'
  | 'endpoint'
  | 'role'
  // Ranges.
  | 'keySpaces'
  | 'keySpace'
  | 'routingMode'
  | 'descriptors'
  | 'descriptorCount'
  | 'startKey'
  | 'endKey'
  | 'seeded'
  | 'newPartitionId'
  | 'newGeneration'
  | 'merges';
export type NodeDocument = { readonly [M in Member]?: unknown };

/** What a node answers a question about the cluster. */
export interface NodeAnswer {
  readonly endpoint: string;
  /** Of HTTP; 0: nobody answered. */
  readonly httpStatus: number;
  /** As it came; programs that read JSON are given it as it is. */
  readonly text: string;
  readonly body: NodeDocument;
}

export interface RestSettings {
  /** Base URLs, in the order in which they are asked. */
  readonly endpoints: readonly string[];
  /** The node that `--node` names. */
  readonly named: string | undefined;
  readonly verify: boolean;
  /** undefined: as long as it takes. Milliseconds. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

type Verb = 'GET' | 'POST';

/** What is asked of one node rather than of the cluster: of a node that is named, or of endpoints in their order (cli §2.3). */
export class RestCalls {
  readonly named: string | undefined;
  private readonly settings: RestSettings;

  constructor(settings: RestSettings) {
    this.settings = settings;
    this.named = settings.named;
  }

  /** The nodes that a command is for: the named one, or all. */
  get targets(): readonly string[] {
    return this.named === undefined ? this.settings.endpoints : [this.named];
  }

  get endpoints(): readonly string[] {
    return this.settings.endpoints;
  }

  /** The first of the targets that answers. Throws {@link NoServer}. */
  async any(verb: Verb, path: string, body?: object): Promise<NodeAnswer> {
    for (const endpoint of this.targets) {
      const answer = await this.ask(endpoint, verb, path, body);
      if (answer.httpStatus !== 0) return answer;
    }
    throw new NoServer(this.targets.join(', '));
  }

  /** A node that cannot be reached counts as one that refuses: a walk over several goes on. */
  async ask(endpoint: string, verb: Verb, path: string, body?: object): Promise<NodeAnswer> {
    try {
      const { status, text } = await this.exchange(new URL(path, endpoint), verb, body);
      return { endpoint, httpStatus: status, text, body: documentOf(text) };
    } catch (error) {
      this.settings.signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      const unreachable = { success: false, status: 'Unreachable', determinate: true, reason };
      return { endpoint, httpStatus: 0, text: JSON.stringify(unreachable), body: unreachable };
    }
  }

  private async exchange(url: URL, verb: Verb, body: object | undefined): Promise<{ status: number; text: string }> {
    const { verify, timeoutMs, signal } = this.settings;
    const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const call = request(url, { method: verb, headers, signal, rejectUnauthorized: verify }, resolve);
      if (timeoutMs !== undefined) call.setTimeout(timeoutMs, () => call.destroy(new Error('no answer in time')));
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
  }
}

function documentOf(text: string): NodeDocument {
  const document: unknown = JSON.parse(text);
  if (typeof document !== 'object' || document === null) throw new Error('the answer is no document');
  return document;
}
