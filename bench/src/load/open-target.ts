import { EtcdLocks } from '../locks/etcd-locks.ts';
import { KahunaLockStream } from '../locks/kahuna-lock-stream.ts';
import { KahunaLocks } from '../locks/kahuna-locks.ts';
import { PollingLocks } from '../locks/lock-client.ts';
import { RedisLocks } from '../locks/redis-locks.ts';
import { WatchingLocks } from '../locks/watching-locks.ts';
import { EtcdPagesTarget, KahunaPagesTarget, KahunaStreamTarget } from '../scan/scan-targets.ts';
import { EtcdSequenceTarget } from '../sequences/etcd-sequence.ts';
import { KahunaHttp2SequenceTarget, KahunaSequenceTarget, KahunaUnarySequenceTarget } from '../sequences/kahuna-sequence.ts';
import { RedisSequenceTarget } from '../sequences/redis-sequence.ts';
import { EtcdGrpcTarget } from './etcd-grpc.ts';
import { EtcdHttp2Target } from './etcd-http2.ts';
import { KahunaBatchTarget } from './kahuna-batch.ts';
import { KahunaUnaryTarget } from './kahuna-unary.ts';
import { LockTarget } from './locks.ts';
import { RedisTarget } from './redis.ts';
import type { Target, TargetSpec } from './target.ts';

/** Opens one connection of the wanted kind. */
export function openTarget({ kind, address, retryMs = 10, rows = 100_000 }: TargetSpec): Target {
  switch (kind) {
    case 'etcd-grpc':
      return new EtcdGrpcTarget(address);
    case 'etcd-http2':
      return new EtcdHttp2Target(address);
    case 'kahuna-batch':
      return new KahunaBatchTarget(address);
    case 'kahuna-unary':
      return new KahunaUnaryTarget(address);
    case 'redis':
      return new RedisTarget(address);
    case 'kahuna-locks':
      return new LockTarget(new WatchingLocks(new KahunaLocks(address), address));
    case 'kahuna-polled-locks':
      return new LockTarget(new PollingLocks(new KahunaLocks(address), retryMs));
    case 'kahuna-lock-stream':
      return new LockTarget(new PollingLocks(new KahunaLockStream(address), retryMs));
    case 'etcd-locks':
      return new LockTarget(new EtcdLocks(address));
    case 'redis-locks':
      return new LockTarget(new PollingLocks(new RedisLocks(address), retryMs));
    case 'kahuna-sequence':
      return new KahunaSequenceTarget(address);
    case 'kahuna-unary-sequence':
      return new KahunaUnarySequenceTarget(address);
    case 'kahuna-http2-sequence':
      return new KahunaHttp2SequenceTarget(address);
    case 'etcd-sequence':
      return new EtcdSequenceTarget(address);
    case 'redis-sequence':
      return new RedisSequenceTarget(address);
    case 'kahuna-pages':
      return new KahunaPagesTarget(address, rows);
    case 'kahuna-stream':
      return new KahunaStreamTarget(address, rows);
    case 'etcd-pages':
      return new EtcdPagesTarget(address, rows);
  }
}
