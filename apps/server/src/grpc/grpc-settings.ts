import type { Clock } from '@kahuna/base';
import type { Unread } from '../gateway/unread.ts';

/** What the gRPC gateway needs to know beyond the node. */
export interface GrpcSettings {
  /** Monotonic time for durations and deadlines: the clock that the node measures its deadlines by. */
  readonly clock: Clock;
  readonly hints: HintOptions;
  /** What clients of this node have not read yet. */
  readonly unread: Unread;
  /** Folder of the shipped .proto files, for reflection; undefined leaves reflection out. */
  readonly protoFolder: string | undefined;
  /** Told about faults of our own; the client gets the documented answer meanwhile. */
  readonly onFault: (what: string, error: unknown) => void;
}

export interface HintOptions {
  /** Advertised client URL of this node. */
  readonly localUrl: string;
  /** Leave hints out of all answers (`--disable-routing-hints`). */
  readonly disabled: boolean;
  /** Never name another node (`--disable-peer-endpoint-advertisement`). */
  readonly hidePeers: boolean;
}
