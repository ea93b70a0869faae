import { Arguments } from './arguments.ts';
import { benchAgainstEtcd, MANY_CONNECTIONS, USUAL } from './etcd-bench.ts';
import { benchFailover } from './failover.ts';
import { benchIdle } from './idle.ts';
import { benchLocks } from './locks-bench.ts';
import { benchMemory } from './memory.ts';
import { benchScan } from './scan-bench.ts';
import { benchSequences } from './sequences-bench.ts';
import { benchStartup } from './startup.ts';
import { benchWatch } from './watch-bench.ts';

const USAGE = `npm run bench -- <command> [options]

  etcd          put and get against etcd, interleaved: 1, 16, 64, 256 workers; batch stream, unary, etcd by grpc-js and node:http2
  unary         the unary calls of both alone
  connections   64 workers on 64 connections
  failover      kill -9 of the leader to the next acknowledged write (--runs 10)
  startup       1,000,000 keys: memory, time to the first read after kill and after stop (--keys, --value-bytes)
  locks         acquire and release by 1, 16, 64 workers, and hand-over between 8, against etcd's lock service and SET NX PX of Redis
  sequences     next by 1, 16, 64, 256 workers against compare-and-swap on etcd and INCR of Redis
  scan          100,000 rows in order against etcd's pages (--rows)
  watch         1 writer and 1,000 watches of its key against etcd: time until they are told (--watches, --connections 100,
                --interval-ms 100, --rounds 3, --seconds 2, --warm-up-seconds 4, --calls, --only)
  memory        resident memory by key and by lock, one node, beside etcd and Redis (--keys 1000000, --locks 100000)
  idle          1,000 idle partitions on three nodes: CPU of each node (--partitions, --seconds, --settle)

Options of etcd, unary, connections: --rounds 3 --seconds 2 --workers 1,16,64,256 --operations put,get --keys 10000
  --value-bytes 256 --without-etcd --only "kahuna,etcd".
Options of locks, sequences, scan: --rounds 3 --seconds 2 --warm-up-seconds 4 --workers --without-etcd --without-redis; of locks also
  --contenders 8 --retry-ms 10 (pause of a client that found the lock taken). All commands: --directory <on the disk to measure> --server "<flags>".`;

const args = new Arguments(process.argv.slice(2));
const commands: Readonly<Record<string, () => Promise<void>>> = {
  etcd: () => benchAgainstEtcd(args, 'etcd', USUAL),
  unary: () =>
    benchAgainstEtcd(
      args,
      'unary',
      USUAL.filter(shape => shape.kind !== 'kahuna-batch'),
    ),
  connections: () => benchAgainstEtcd(args, 'connections', MANY_CONNECTIONS, { workers: [64] }),
  failover: () => benchFailover(args),
  startup: () => benchStartup(args),
  locks: () => benchLocks(args),
  sequences: () => benchSequences(args),
  scan: () => benchScan(args),
  watch: () => benchWatch(args),
  memory: () => benchMemory(args),
  idle: () => benchIdle(args),
};

const command = commands[args.words[0] ?? ''];
if (command) {
  await command();
  process.exit(0);
}
console.error(USAGE);
process.exit(args.words.length === 0 ? 0 : 1);
