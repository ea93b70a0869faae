import type { FlagSpec } from './flag-spec.ts';
import { FLAG_GROUPS } from './flags.ts';

const COLUMN = 46;

/** The text of `--help`: every option with its default and meaning, in the groups of the table. */
export function helpText(): string {
  const lines = ['Usage: kahuna-server [options]', ''];
  for (const [title, flags] of FLAG_GROUPS) {
    lines.push(`${title}:`);
    for (const [name, spec] of Object.entries<FlagSpec>(flags)) lines.push(row(name, spec));
    lines.push('');
  }
  lines.push('Other:', `  ${'--help'.padEnd(COLUMN)} This text`, `  ${'--version'.padEnd(COLUMN)} The version`, '');
  lines.push('Environment: KAHUNA_HOME, XDG_DATA_HOME (directories), KAHUNA_AUTO_REJOIN=0, KAHUNA_QUIESCENCE=0,');
  lines.push('KAHUNA_LOG_FORMAT=json, KAHUNA_LOG_LEVEL=Debug|Information|Warning|Error|Critical');
  return `${lines.join('\n')}\n`;
}

function row(name: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  const left = `${short}--${name} ${placeholder(spec)}`.trimEnd();
  const effect = spec.tier === 'N' ? ' (accepted, no effect)' : '';
  return `  ${left.padEnd(COLUMN)} ${spec.help}${effect}${defaultText(spec)}`;
}

function placeholder(spec: FlagSpec): string {
  switch (spec.kind) {
    case 'boolean':
      return '';
    case 'texts':
      return '<text …>';
    case 'ports':
      return '<port …>';
    case 'text':
      return '<text>';
    case 'uuid':
      return '<uuid>';
    case 'int':
    case 'long':
    case 'double':
      return '<number>';
  }
}

function defaultText(spec: FlagSpec): string {
  if (spec.kind === 'boolean') return spec.default ? ' [on]' : '';
  const text = Array.isArray(spec.default) ? spec.default.join(' ') : String(spec.default);
  return text === '' ? '' : ` [${text}]`;
}
