import { EtcdGrpcTarget } from './etcd-grpc.ts';
import { EtcdHttp2Target } from './etcd-http2.ts';
import { KahunaBatchTarget } from './kahuna-batch.ts';
import { KahunaUnaryTarget } from './kahuna-unary.ts';
import type { Target, TargetSpec } from './target.ts';

/** Opens one connection of the wanted kind. */
export function openTarget(spec: TargetSpec): Target {
  switch (spec.kind) {
    case 'etcd-grpc':
      return new EtcdGrpcTarget(spec.address);
    case 'etcd-http2':
      return new EtcdHttp2Target(spec.address);
    case 'kahuna-batch':
      return new KahunaBatchTarget(spec.address);
    case 'kahuna-unary':
      return new KahunaUnaryTarget(spec.address);
  }
}
