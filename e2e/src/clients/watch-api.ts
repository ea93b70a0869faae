import * as grpc from '@grpc/grpc-js';
import { type WatchTarget, watchMessages as w } from '@kahuna/wire';
import { CHANNEL_OPTIONS } from './batch-stream.ts';
import { message } from './grpc-kv.ts';

export type WatchStart = w.GrpcWatchRequest['Start'];

/** A watch that is under way. Ends with the status that the server gave; `stop` makes it end with CANCELLED. */
export interface RunningWatch {
  readonly ended: Promise<grpc.StatusObject>;
  stop(): void;
}

/** Watches of one node, without any help: no resume, no judgement about what comes. */
export class GrpcWatches {
  private readonly client: grpc.Client;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  begin(
    target: WatchTarget,
    start: WatchStart,
    progressMs: number,
    onMessage: (message: w.GrpcWatchResponse) => void,
  ): RunningWatch {
    const call = this.client.makeServerStreamRequest(
      '/Watcher/Watch',
      (request: w.GrpcWatchRequest) => Buffer.from(w.GrpcWatchRequest.encode(request).finish()),
      (bytes: Buffer) => w.GrpcWatchResponse.decode(bytes),
      message(w.GrpcWatchRequest, { Target: target, Start: start, ProgressMs: progressMs }),
    );
    call.on('data', onMessage);
    const ended = new Promise<grpc.StatusObject>(resolve => {
      call.on('status', resolve);
      // Comes beside the status, which says the same.
      call.on('error', () => undefined);
    });
    return { ended, stop: () => call.cancel() };
  }

  close(): void {
    this.client.close();
  }
}
