/** Completion of the command line in the user's shell, made from the flag table. Nobody is contacted to complete. */
import { COMPLETION_SHELLS, FLAG_GROUPS, type FlagSpec, FORMATS } from './flags.ts';

interface Spelled {
  readonly name: string;
  readonly spec: FlagSpec;
}

const SPELLED: readonly Spelled[] = FLAG_GROUPS.flatMap(([, flags]) =>
  Object.entries(flags).flatMap(([name, spec]) => [name, ...(spec.aliases ?? [])].map(spelling => ({ name: spelling, spec }))),
);

/** The words that an argument can be; undefined where it is free text. */
function wordsOf({ kind }: FlagSpec): readonly string[] | undefined {
  if (kind === 'format') return FORMATS;
  return kind === 'shell' ? COMPLETION_SHELLS : undefined;
}

export function completionScript(shell: 'bash' | 'zsh' | 'fish'): string {
  switch (shell) {
    case 'bash':
      return bash();
    case 'zsh':
      return zsh();
    case 'fish':
      return fish();
  }
}

function bash(): string {
  const choices = SPELLED.flatMap(({ name, spec }) => {
    const words = wordsOf(spec);
    return words === undefined ? [] : [`    --${name}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")); return ;;`];
  });
  const taking = SPELLED.filter(({ spec }) => spec.kind !== 'none').flatMap(({ name, spec }) => [
    ...(spec.short === undefined ? [] : [`-${spec.short}`]),
    `--${name}`,
  ]);
  return [
    '# kahuna-cli in bash: source <(kahuna-cli --completion bash)',
    '_kahuna_cli() {',
    `  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"`,
    '  COMPREPLY=()',
    '  case "$previous" in',
    ...choices,
    `    ${taking.join('|')}) return ;;`,
    '  esac',
    `  COMPREPLY=($(compgen -W '${SPELLED.map(({ name }) => `--${name}`).join(' ')}' -- "$word"))`,
    '}',
    'complete -F _kahuna_cli kahuna-cli',
  ].join('\n');
}

function zsh(): string {
  const flag = (spelling: string, spec: FlagSpec): string => {
    const words = wordsOf(spec);
    const argument =
      spec.kind === 'none' ? '' : `:${spec.argument ?? 'value'}:${words === undefined ? '' : `(${words.join(' ')})`}`;
    return `'${spelling}[${spec.help.replace(/[[\]:\\']/g, character => (character === "'" ? "'\\''" : `\\${character}`))}]${argument}'`;
  };
  const lines = SPELLED.flatMap(({ name, spec }) => [
    ...(spec.short === undefined ? [] : [flag(`-${spec.short}`, spec)]),
    flag(`--${name}`, spec),
  ]);
  return [
    '#compdef kahuna-cli',
    '# kahuna-cli in zsh: source <(kahuna-cli --completion zsh), after compinit',
    '_kahuna_cli() {',
    '  _arguments \\',
    lines.map(line => `    ${line}`).join(' \\\n'),
    '}',
    'compdef _kahuna_cli kahuna-cli',
  ].join('\n');
}

function fish(): string {
  const lines = SPELLED.map(({ name, spec }) => {
    const words = wordsOf(spec);
    const short = spec.short === undefined ? '' : ` -s ${spec.short}`;
    const argument = spec.kind === 'none' ? '' : ` -x${words === undefined ? '' : ` -a '${words.join(' ')}'`}`;
    return `complete -c kahuna-cli -l ${name}${short}${argument} -d '${spec.help.replace(/['\\]/g, character => `\\${character}`)}'`;
  });
  return ['# kahuna-cli in fish: kahuna-cli --completion fish | source', 'complete -c kahuna-cli -f', ...lines].join('\n');
}
