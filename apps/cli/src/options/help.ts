import { FLAG_GROUPS, type FlagSpec } from './flags.ts';

const COLUMN = 36;

const EXAMPLES = [
  ['kahuna-cli -c http://localhost:2070', 'the shell, on a node started with npm start'],
  ['kahuna-cli --set app/theme --value dark', ''],
  ['kahuna-cli --get app/theme --format json', ''],
  ['kahuna-cli --get-by-prefix app', 'all keys app/…'],
  ['kahuna-cli --lock jobs/email --expires 30000', 'prints fencing token and owner'],
  ['kahuna-cli --unlock jobs/email --owner <owner>', ''],
  ['kahuna-cli --create-sequence orders --initial-value 1000', ''],
  ['kahuna-cli --next-sequence orders --idempotency-key order-17', 'the same key gets the same value'],
  [`printf 'set a "1"\\nget a\\n' | kahuna-cli`, 'the shell reads a pipe, one command a line'],
  ['source <(kahuna-cli --completion bash)', 'completion of these options'],
] as const;

/** The text of `--help`: every flag with its meaning, in the groups of the table, and what one would do first. */
export function helpText(): string {
  const lines = ['Usage: kahuna-cli [-c <urls>] [one command] [what it takes]', ''];
  for (const [title, flags] of FLAG_GROUPS) {
    lines.push(`${title}:`);
    for (const [name, spec] of Object.entries(flags)) lines.push(row(name, spec));
    lines.push('');
  }
  lines.push('Examples:');
  const width = Math.max(...EXAMPLES.map(([example]) => example.length));
  for (const [example, about] of EXAMPLES)
    lines.push(`  ${example.padEnd(width)}${about === '' ? '' : `  # ${about}`}`.trimEnd());
  lines.push('');
  lines.push('Exit codes: 0 the answer was printed, also "not found"; 1 wrong usage, no connection, or refused; 130 Ctrl+C.');
  lines.push(
    'Environment: KAHUNA_CONNECTION_SOURCE (in place of -c), NO_COLOR, KAHUNA_FORCE_RICH=1, XDG_STATE_HOME (history of the shell).',
  );
  return lines.join('\n');
}

function row(name: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? '    ' : `-${spec.short}, `;
  const left = `${short}--${name}${spec.argument === undefined ? '' : ` <${spec.argument}>`}`;
  const aliases = spec.aliases === undefined ? '' : ` (also ${spec.aliases.map(alias => `--${alias}`).join(', ')})`;
  const later = spec.later ? ' (not in this release)' : '';
  return `  ${left.padEnd(COLUMN)} ${spec.help}${aliases}${later}`;
}
