/**
 * Every flag of `kahuna-cli` (spec cli §1, §2): what the parser accepts, `--help` prints and the shells complete. The order of the
 * command flags is their precedence: of several given the first in this table runs.
 */

/** What stands behind a flag. `text` may be empty; numbers are decimal integers within their limits; a `seconds` may have a fraction. */
export type ArgumentKind = 'none' | 'text' | 'int32' | 'int64' | 'seconds' | 'format' | 'shell';

export interface FlagSpec {
  readonly kind: ArgumentKind;
  /** What `--help` calls the argument. */
  readonly argument?: string;
  readonly help: string;
  /** Further spellings of the long form. */
  readonly aliases?: readonly string[];
  readonly short?: string;
  /** Its command says better what is missing than the parser could; without an argument it is empty. */
  readonly mayBeBare?: boolean;
  /** Known and checked, and not in this release. */
  readonly later?: boolean;
}

/** Flags that name what to do; exactly one is expected. */
export const COMMAND_FLAGS = {
  set: { kind: 'text', argument: 'key', help: 'Write a key: --value <text> [--expires <ms>]' },
  get: { kind: 'text', argument: 'key', help: 'Read a key' },
  'get-by-prefix': {
    kind: 'text',
    argument: 'prefix',
    aliases: ['get-by-bucket'],
    help: 'Read all keys of one key space (the part before the last /), consistently',
  },
  'scan-by-prefix': {
    kind: 'text',
    argument: 'prefix',
    help: 'Read all keys that begin with a text, on all nodes; may be stale',
  },
  lock: { kind: 'text', argument: 'resource', help: 'Acquire a lock under a new owner: --expires <ms>' },
  'extend-lock': { kind: 'text', argument: 'resource', help: 'Prolong a lock: --owner <owner> --expires <ms>' },
  unlock: { kind: 'text', argument: 'resource', aliases: ['unlock-lock'], help: 'Release a lock: --owner <owner>' },
  'get-lock': { kind: 'text', argument: 'resource', help: 'Show who holds a lock' },
  extend: { kind: 'text', argument: 'key', help: 'Change when a key expires: [--expires <ms>], 0 = never' },
  'create-sequence': {
    kind: 'text',
    argument: 'name',
    help: 'Create a sequence: [--initial-value <n>] [--increment <n>] [--max-value <n>]',
  },
  'get-sequence': { kind: 'text', argument: 'name', help: 'Show a sequence' },
  'next-sequence': { kind: 'text', argument: 'name', help: 'Take the next value: [--idempotency-key <key>]' },
  'reserve-sequence': { kind: 'text', argument: 'name', help: 'Take several values: [--count <n>] [--idempotency-key <key>]' },
  'delete-sequence': { kind: 'text', argument: 'name', help: 'Delete a sequence' },
  'cluster-members': { kind: 'none', help: 'Show the members of the cluster' },
  'cluster-leave': { kind: 'none', help: 'Take a node out of the cluster: --node <url>' },
  'cluster-placement': { kind: 'none', help: 'Show where the partitions are: [--node <url>]' },
  'set-replication-factor': {
    kind: 'int32',
    argument: 'n',
    help: 'Copies of one partition: --partition <id> [--node <url>]',
  },
  ranges: { kind: 'none', help: 'Show the key spaces routed by range: [--key-space <space>] [--node <url>]' },
  'register-key-range': { kind: 'text', argument: 'space', help: 'Route a key space by range: [--node <url>]' },
  'unregister-key-range': {
    kind: 'text',
    argument: 'space',
    help: 'Route a key space by hash again: [--node <url>]',
  },
  'split-range': { kind: 'text', argument: 'space', help: 'Cut a range: --split-key <key> [--node <url>]' },
  'merge-ranges': { kind: 'none', help: 'Fold small neighbouring ranges: [--node <url>]' },
  'backup-full': { kind: 'none', later: true, help: 'Back up one node' },
  'backup-incremental': { kind: 'none', later: true, help: 'Back up what changed: --parent-backup-id <uuid>' },
  'backup-coordinated': { kind: 'none', later: true, help: 'Back up all nodes at one time' },
  'list-backups': { kind: 'none', later: true, help: 'List the backups' },
  'backup-chain': { kind: 'text', later: true, argument: 'uuid', mayBeBare: true, help: 'Show what a backup builds on' },
  'backup-gc': { kind: 'none', later: true, help: 'Remove what no backup needs: [--backup-gc-dry-run]' },
  restore: {
    kind: 'text',
    later: true,
    argument: 'uuid',
    mayBeBare: true,
    help: 'Restore a backup: --target-dir <directory> [--target-time-ms <ms>]',
  },
  watch: { kind: 'text', argument: 'key', help: 'Show a key and what happens to it, until Ctrl+C' },
  'watch-bucket': { kind: 'text', argument: 'bucket', help: 'The same for the keys <bucket>/…' },
  'watch-prefix': { kind: 'text', argument: 'prefix', help: 'The same for all keys that begin with a text' },
  'watch-lock': { kind: 'text', argument: 'resource', help: 'Show who holds a lock, and every change, until Ctrl+C' },
  'watch-sequence': { kind: 'text', argument: 'name', help: 'The same for a sequence' },
} as const satisfies Record<string, FlagSpec>;

/** Flags that say more about a command. */
const COMPANION_FLAGS = {
  value: { kind: 'text', argument: 'text', help: 'Value to write; - reads it from the standard input' },
  expires: { kind: 'int32', argument: 'ms', help: 'Lifetime or lease in milliseconds' },
  owner: { kind: 'text', argument: 'owner', help: 'Owner of a lock, as --lock printed it' },
  'initial-value': { kind: 'int64', argument: 'n', help: 'Start of a sequence [0]' },
  increment: { kind: 'int64', argument: 'n', help: 'Step of a sequence [1]' },
  'max-value': { kind: 'int64', argument: 'n', help: 'Last value of a sequence [none]' },
  count: { kind: 'int32', argument: 'n', help: 'Values to reserve [1]' },
  'idempotency-key': { kind: 'text', argument: 'key', help: 'The same key is given the same values again' },
  node: { kind: 'text', argument: 'url', help: 'The node to ask, as URL or host:port' },
  partition: { kind: 'int32', argument: 'id', help: 'A data partition' },
  'key-space': { kind: 'text', argument: 'space', help: 'A key space' },
  'split-key': { kind: 'text', argument: 'key', help: 'First key of the upper half' },
  'parent-backup-id': { kind: 'text', argument: 'uuid', mayBeBare: true, help: 'The backup an incremental one builds on' },
  'backup-gc-dry-run': { kind: 'none', help: 'Say what would be removed' },
  'target-dir': { kind: 'text', argument: 'directory', help: 'Directory on the server' },
  'target-time-ms': { kind: 'int64', argument: 'ms', help: 'Unix time to restore to [the latest]' },
} as const satisfies Record<string, FlagSpec>;

const GENERAL_FLAGS = {
  'connection-source': {
    kind: 'text',
    argument: 'urls',
    short: 'c',
    help: 'Comma-separated URLs of the nodes [https://localhost:8082, …8084, …8086]',
  },
  'default-timeout': { kind: 'seconds', argument: 'seconds', short: 't', help: 'How long a command may take [10]' },
  insecure: { kind: 'none', help: 'Accept any certificate' },
  format: { kind: 'format', argument: 'console|json', help: 'How results are printed [console]' },
  'force-rich': { kind: 'none', help: 'Line editor and colours although the terminal was not recognised' },
  'no-color': { kind: 'none', help: 'No colours' },
  completion: { kind: 'shell', argument: 'bash|zsh|fish', help: 'Print the completion script of a shell' },
  help: { kind: 'none', short: 'h', help: 'This text' },
  version: { kind: 'none', help: 'The version' },
} as const satisfies Record<string, FlagSpec>;

export type CommandFlag = keyof typeof COMMAND_FLAGS;

const FLAGS = { ...COMMAND_FLAGS, ...COMPANION_FLAGS, ...GENERAL_FLAGS } as const;
export type FlagName = keyof typeof FLAGS;

/** The flags in the order and under the headings of `--help`. */
export const FLAG_GROUPS: readonly (readonly [string, Readonly<Record<string, FlagSpec>>])[] = [
  ['Commands (none: the interactive shell)', COMMAND_FLAGS],
  ['What commands take', COMPANION_FLAGS],
  ['General', GENERAL_FLAGS],
];

export const FORMATS: readonly string[] = ['console', 'json'];
export const COMPLETION_SHELLS: readonly string[] = ['bash', 'zsh', 'fish'];

/** What a flag's argument is once it has been read. */
type ArgumentOf<Kind extends ArgumentKind> = {
  none: true;
  text: string;
  int32: number;
  int64: bigint;
  seconds: number;
  format: 'console' | 'json';
  shell: 'bash' | 'zsh' | 'fish';
}[Kind];

/** The flags of a command line by their names; absent = not given. */
export type Options = { readonly [Name in FlagName]?: ArgumentOf<(typeof FLAGS)[Name]['kind']> };

export function flagSpec(name: FlagName): FlagSpec {
  return FLAGS[name];
}

const BY_SPELLING: ReadonlyMap<string, FlagName> = new Map(
  (Object.keys(FLAGS) as FlagName[]).flatMap(name => {
    const spec = flagSpec(name);
    const short = spec.short === undefined ? [] : [`-${spec.short}`];
    return [`--${name}`, ...short, ...(spec.aliases ?? []).map(alias => `--${alias}`)].map(spelling => [spelling, name] as const);
  }),
);

/** The flag that is spelled so, dashes included. */
export function flagSpelled(spelling: string): FlagName | undefined {
  return BY_SPELLING.get(spelling);
}
