import type { ByteReader } from '@kahuna/base';
import type { Member } from '@kahuna/raft';
import type { NodeHost } from './host.ts';
import type { Peer } from './peer.ts';
import type { Ports } from './ports.ts';
import type { Replica } from './replica.ts';

export class SnapshotTransfers {
  constructor(_node: NodeHost, _ports: Ports) {}
  isInstalling(_partitionId: number, _metaRow: Uint8Array | undefined): boolean {
    return false;
  }
  resumeInstalls(): void {}
  send(_replica: Replica, _member: Member): void {}
  tick(_now: number): void {}
  linkLost(_peer: Peer): void {}
  takeItem(_kind: number, _peer: Peer, _reader: ByteReader): void {}
}
