import { describe, expect, test } from 'vitest';
import { readyAddresses } from '../runtime/banner.ts';
import type { FlagSpec } from './flag-spec.ts';
import { FLAG_NAMES, flagSpec } from './flags.ts';
import { helpText } from './help.ts';
import { FlagError, type ParsedFlags, parseFlags } from './parse-flags.ts';
import { resolveSettings } from './settings.ts';

const HOME = { HOME: '/home/someone' };

function parse(...argv: string[]): ParsedFlags {
  const result = parseFlags(argv, {});
  if (result.kind !== 'run') throw new Error(`expected options, got ${result.kind}`);
  return result.flags;
}

function settings(...argv: string[]) {
  return resolveSettings(parse(...argv), HOME);
}

/** The option's default as it would be typed; undefined: the default is "nothing", which is typed as an empty value. */
function typed(spec: FlagSpec): string {
  return Array.isArray(spec.default) ? spec.default.join(',') : String(spec.default);
}

describe('syntax (operations §1.4)', () => {
  test('a scalar takes the next token or the text behind =', () => {
    expect(parse('--raft-port', '9081').values['raft-port']).toBe(9081);
    expect(parse('--raft-port=9081').values['raft-port']).toBe(9081);
    expect(parse('--storage-path=').values['storage-path']).toBe('');
    expect(parse('--console-title=a=b').values['console-title']).toBe('a=b');
  });

  test('-h is the host and -p the http ports', () => {
    const { values } = parse('-h', '127.0.0.1', '-p', '8081', '8083');
    expect(values.host).toBe('127.0.0.1');
    expect(values['http-ports']).toEqual([8081, 8083]);
  });

  test('lists take spaces, commas and repetition, and replace the default', () => {
    const { values } = parse('--initial-cluster', 'a:1,b:2', 'c:3', '--initial-cluster=d:4', '-p', '1', '-p=2');
    expect(values['initial-cluster']).toEqual(['a:1', 'b:2', 'c:3', 'd:4']);
    expect(values['http-ports']).toEqual([1, 2]);
  });

  test('a bare boolean is true and consumes only true or false', () => {
    expect(parse('--disable-routing-hints', '--raft-port', '1').values['disable-routing-hints']).toBe(true);
    expect(parse('--raft-enable-leader-balancer', 'FALSE').values['raft-enable-leader-balancer']).toBe(false);
    expect(parse('--raft-enable-quiescence=false').values['raft-enable-quiescence']).toBe(false);
    expect(() => parse('--disable-routing-hints', 'maybe')).toThrow(/unexpected argument 'maybe'/);
    expect(() => parse('--disable-routing-hints=maybe')).toThrow(/--disable-routing-hints takes true or false/);
  });

  test('an alias is the same option', () => {
    expect(parse('--max-admission-wait-ms', '6000').values['max-admission-wait']).toBe(6000);
    expect(() => parse('--max-admission-wait', '6000', '--max-admission-wait-ms', '6000')).toThrow(/given twice/);
  });

  test('help and version win over everything else', () => {
    expect(parseFlags(['--nonsense', '--help'], {}).kind).toBe('help');
    expect(parseFlags(['--version'], {}).kind).toBe('version');
  });

  test('64-bit options take more than 32 bits, 32-bit ones do not', () => {
    expect(parse('--raft-snapshot-max-pending-bytes', '9223372036854775807').values['raft-snapshot-max-pending-bytes']).toBe(
      2 ** 63,
    );
    expect(() => parse('--raft-snapshot-max-pending-bytes', '9223372036854775808')).toThrow(FlagError);
    expect(() => parse('--checkpoint-interval', '2147483648')).toThrow(/--checkpoint-interval: 2147483648 is out of range/);
  });

  test.each([
    [['--no-such-option'], '--no-such-option'],
    [['-x'], '-x'],
    [['--raft-port'], '--raft-port'],
    [['--raft-port', '--host', 'x'], '--raft-port'],
    [['--raft-port', '80x'], '--raft-port'],
    [['--raft-port', '70000'], '--raft-port'],
    [['--raft-port', '1.5'], '--raft-port'],
    [['--http-ports', '0'], '--http-ports'],
    [['--http-ports'], '--http-ports'],
    [['--raft-port', '1', '--raft-port', '1'], '--raft-port'],
    [['--join-existing', '--join-existing'], '--join-existing'],
    [['--storage', 'etcd'], 'rocksdb, sqlite, memory'],
    [['--pitr-bootstrap-from', 'not-a-uuid'], '--pitr-bootstrap-from'],
    [['--raft-load-imbalance-threshold', 'NaN'], '--raft-load-imbalance-threshold'],
    [['stray'], 'stray'],
  ])('operations:3 %j is refused and named in one line', (argv, named) => {
    expect(() => parse(...argv)).toThrow(FlagError);
    try {
      parse(...argv);
    } catch (error) {
      expect((error as Error).message).toContain(named);
      expect((error as Error).message).not.toContain('\n');
    }
  });

  test('an option that is not there is named, with the one that may be meant', () => {
    expect(() => parse('--http-port', '80')).toThrow('unknown option --http-port (did you mean --http-ports? --help lists all)');
    expect(() => parse('--storage-paths=/data')).toThrow('unknown option --storage-paths (did you mean --storage');
    expect(() => parse('--nonsense')).toThrow('unknown option --nonsense (--help lists all)');
  });
});

describe('checks that compare options (operations §13.7)', () => {
  test.each([
    [
      ['--https-ports', '2071'],
      '--https-ports requires --https-certificate; refusing to serve plaintext on a port requested as HTTPS',
    ],
    [['--join-existing'], '--join-existing'],
    [['--raft-replication-factor', '-1'], '--raft-replication-factor'],
    [['--range-split-settle-window', '1'], '--range-split-settle-window'],
    [['--range-collection-interval', '4'], '--range-collection-interval'],
    [['--raft-heartbeat-interval', '2000'], '--raft-heartbeat-interval'],
    [['--raft-check-leader-interval', '2000'], '--raft-check-leader-interval'],
    [['--raft-end-election-timeout', '2000'], '--raft-end-election-timeout'],
    [['--raft-check-quorum-interval-multiplier', '1'], '--raft-check-quorum-interval-multiplier'],
    [['--raft-ping-interval', '0'], '--raft-ping-interval'],
    [['--raft-leader-balancer-report-ttl', '5000'], '--raft-leader-balancer-report-ttl'],
    [['--default-transaction-timeout', '300001'], '--default-transaction-timeout'],
    [['--default-admission-wait', '40000'], '--default-admission-wait'],
    [['--max-script-length', '0'], '--max-script-length'],
    [['--max-script-depth', '0'], '--max-script-depth'],
    [['--range-split-load-threshold', '-0.5'], '--range-split-load-threshold'],
    [['--kv-write-max-queue-delay-ms', '8001'], '--kv-write-max-queue-delay-ms'],
    [['--rocksdb-shared-memtable-budget-mb', '321'], '--rocksdb-shared-memtable-budget-mb'],
    [['--initial-cluster-partitions', '0'], '--initial-cluster-partitions'],
    [['--http-ports', '2070', '2072'], '--grpc-cleartext-ports'],
    [['--pitr-backup-mac-key-file', '/no/such/key'], '--pitr-backup-mac-key-file'],
    [['--pitr-bootstrap-from', '3f0c2f9e-6b7d-4a51-9d0e-2f8f5a1c7b10'], '--join-existing'],
    [['--initial-cluster', 'node-2'], '--initial-cluster'],
    [['--initial-cluster', 'b:1', '--raft-grpc-scheme', 'https://'], '--raft-grpc-scheme'],
    [['--initial-cluster', 'b:1', '--raft-port', '9081'], '--raft-grpc-scheme'],
    [['--raft-transport-security', '{'], '--raft-transport-security'],
    [['--raft-transport-security', '{"mode":"SharedSecret"}'], '--raft-transport-security'],
  ])('operations:3 %j', (argv, named) => {
    expect(() => settings(...argv)).toThrow(FlagError);
    expect(() => settings(...argv)).toThrow(named);
  });

  test('quiescence off allows the pings to be off', () => {
    expect(() => settings('--raft-ping-interval', '0', '--raft-enable-quiescence', 'false')).not.toThrow();
  });

  test('operations:10 every option with its default given explicitly gives the same settings', () => {
    const argv = FLAG_NAMES.filter(name => name !== 'grpc-cleartext-ports').map(name => `--${name}=${typed(flagSpec(name))}`);
    expect(settings(...argv, '--grpc-cleartext-ports', '2072')).toEqual({
      ...settings(),
      flags: { ...settings().flags, 'grpc-cleartext-ports': [2072] },
    });
  });

  test('every option appears in the help', () => {
    const help = helpText();
    for (const name of FLAG_NAMES) expect(help).toContain(`--${name}`);
  });
});

describe('environment (operations §1.3)', () => {
  test('a variable switches its option off unless the option is given', () => {
    const quiet = parseFlags([], { KAHUNA_QUIESCENCE: '0', KAHUNA_AUTO_REJOIN: '0' });
    const loud = parseFlags(['--raft-enable-quiescence'], { KAHUNA_QUIESCENCE: '0' });
    expect(quiet.kind === 'run' && quiet.flags.values['raft-enable-quiescence']).toBe(false);
    expect(quiet.kind === 'run' && quiet.flags.values['raft-enable-auto-rejoin']).toBe(false);
    expect(loud.kind === 'run' && loud.flags.values['raft-enable-quiescence']).toBe(true);
  });

  test('directories: option, KAHUNA_HOME, XDG_DATA_HOME, home, temporary', () => {
    const path = (env: Record<string, string>, ...argv: string[]) => resolveSettings(parse(...argv), env).storage.path;
    expect(path({ KAHUNA_HOME: '/k', XDG_DATA_HOME: '/x', HOME: '/h' }, '--storage-path', '/s')).toBe('/s');
    expect(path({ KAHUNA_HOME: '/k', XDG_DATA_HOME: '/x', HOME: '/h' })).toBe('/k/data');
    expect(path({ XDG_DATA_HOME: '/x', HOME: '/h' })).toBe('/x/kahuna/data');
    expect(path({ HOME: '/h' })).toBe('/h/.local/share/kahuna/data');
    expect(resolveSettings(parse(), {}).storage.temporary).toBe(true);
  });
});

describe('listeners (operations §1.1)', () => {
  const ports = (...argv: string[]) => settings(...argv).listeners.map(l => `${l.kind}:${l.port}${l.peers ? '+peers' : ''}`);

  test('standalone: REST and peers on 2070, gRPC on 2072', () => {
    expect(ports()).toEqual(['http:2070+peers', 'grpc:2072']);
  });

  test('a certificate brings 2071', () => {
    expect(ports('--https-certificate', 'x.pem')).toEqual(['http:2070+peers', 'https:2071', 'grpc:2072']);
  });

  test('a cluster has no cleartext gRPC port of its own, and a raft port apart from the client ports gets a listener', () => {
    expect(ports('--initial-cluster', 'b:9082', '--raft-port', '9081', '--raft-grpc-scheme', 'http://')).toEqual([
      'http:2070',
      'peer:9081+peers',
    ]);
  });

  test('the raft port may be the TLS port', () => {
    const argv = ['--https-certificate', 'x', '--https-ports', '8082', '--raft-port', '8082', '--initial-cluster', 'b:8084'];
    expect(ports(...argv)).toEqual(['http:2070', 'https:8082+peers']);
    expect(() => settings(...argv, '--raft-grpc-scheme', 'http://')).toThrow(/--raft-grpc-scheme/);
  });

  test('the own endpoint may stand in the list or not; schemes and repetitions fall away', () => {
    const cluster = ['--raft-grpc-scheme', 'http://', '--raft-host', 'a', '--raft-port', '1', '--initial-cluster'];
    expect(settings(...cluster, 'http://a:1', 'b:2', 'https://b:2', 'c:3').peers).toEqual(['b:2', 'c:3']);
  });
});

describe('advertised URL (routing §4.1)', () => {
  test('given, derived, and with another scheme', () => {
    expect(settings('--advertised-client-endpoint', 'https://kahuna.example:1/').clientUrl).toBe('https://kahuna.example:1');
    expect(settings().clientUrl).toBe('http://localhost:2070');
    expect(settings('--advertised-client-scheme', 'https://').clientUrl).toBe('https://localhost:2070');
  });
});

describe('--raft-host', () => {
  test('an IPv6 address stands in brackets wherever a port follows, as other nodes name it', () => {
    const cluster = ['--initial-cluster', '[fd00::1]:9081', '[fd00::2]:9081'];
    for (const host of ['fd00::1', '[fd00::1]']) {
      const resolved = settings(
        '--raft-host',
        host,
        '--raft-port',
        '9081',
        '--http-ports',
        '8081',
        ...cluster,
        '--raft-grpc-scheme',
        'http://',
      );
      expect(resolved.raftEndpoint).toBe('[fd00::1]:9081');
      expect(resolved.peers).toEqual(['[fd00::2]:9081']);
      expect(new URL(resolved.clientUrl).hostname).toBe('[fd00::1]');
      expect(resolved.consoleUrl).toBe('http://[fd00::1]:8081/ui/');
      expect(readyAddresses(resolved)).not.toContain('//fd00');
    }
  });

  test.each(['', 'http://node-1', 'node-1:9081', 'node 1', 'node-1/'])('%j is no host', host => {
    expect(() => settings(`--raft-host=${host}`)).toThrow(/^--raft-host takes a host name or an address/);
  });
});
