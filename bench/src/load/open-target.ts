import { EtcdGrpcTarget } from './etcd-grpc.ts';
import { EtcdHttp2Target } from './etcd-http2.ts';
import type { Target, TargetSpec } from './target.ts';

/** Opens one connection of the wanted kind. */
export async function openTarget(spec: TargetSpec): Promise<Target> {
  switch (spec.kind) {
    case 'etcd-grpc':
      return new EtcdGrpcTarget(spec.address);
    case 'etcd-http2':
      return new EtcdHttp2Target(spec.address);
    case 'kahuna-batch':
    case 'kahuna-unary':
      throw new Error('not yet');
  }
}
