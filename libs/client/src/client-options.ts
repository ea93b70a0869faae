import type { Durability, RepeatWrites } from './options.ts';
import type { TlsOptions } from './tls.ts';
import type { Transport } from './transport.ts';

/** How to connect, and the defaults of all calls. */
export interface KahunaOptions {
  /**
   * URLs of one or more nodes of one cluster, `http://…` or `https://…`: those that nodes advertise as their client endpoint
   * when calls shall go straight to the leaders. Any node answers any request, so one is enough.
   */
  readonly endpoints: string | readonly string[];
  /** How requests travel: in Node.js gRPC batch streams, in browsers REST, unless given. */
  readonly transport?: Transport | undefined;
  /** Milliseconds for each call, repetitions included, unless it names its own. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Default `refused`. */
  readonly repeatWrites?: RepeatWrites | undefined;
  /** Where keys and locks live unless a call says otherwise. Default `persistent`. */
  readonly durability?: Durability | undefined;
  /** Send requests straight to the leader of their partition, as far as known. Default true. */
  readonly learnRoutes?: boolean | undefined;
  /** Trusted certificate authorities (PEM) for `https://` endpoints; the system's unless given. Not in browsers. */
  readonly tls?: TlsOptions | undefined;
}
