import { UsageError } from '../failures.ts';
import {
  COMMAND_FLAGS,
  COMPLETION_SHELLS,
  type CommandFlag,
  type FlagName,
  type FlagSpec,
  FORMATS,
  flagSpec,
  flagSpelled,
  type Options,
} from './flags.ts';
import { parseInt32, parseInt64, parsePositive } from './numbers.ts';

/**
 * Reads a command line: `--name value`, `--name=value`, `-c value`. A value that begins with `--` needs the `=` form. Of a flag given
 * twice the last counts. Throws {@link UsageError}; has no other effect.
 */
export function parseOptions(argv: readonly string[]): Options {
  const options: Partial<Record<FlagName, unknown>> = {};
  for (let at = 0; at < argv.length; at++) {
    const token = argv[at] as string;
    if (!token.startsWith('-') || token === '-') throw new UsageError(`Unexpected argument '${token}'. Try --help.`);
    const equals = token.startsWith('--') ? token.indexOf('=') : -1;
    const spelling = equals === -1 ? token : token.slice(0, equals);
    const name = flagSpelled(spelling);
    if (name === undefined) throw new UsageError(`Option '${spelling.replace(/^-+/, '')}' is unknown. Try --help.`);
    const spec = flagSpec(name);
    let text = equals === -1 ? undefined : token.slice(equals + 1);
    if (spec.kind === 'none') {
      if (text !== undefined) throw new UsageError(`Option '${name}' takes no value. Try --help.`);
      options[name] = true;
      continue;
    }
    if (text === undefined) {
      const next = argv[at + 1];
      const bare = next === undefined || next.startsWith('--');
      if (bare && !spec.mayBeBare) throw new UsageError(missingArgument(name, spec, next));
      if (!bare) at += 1;
      text = bare ? '' : next;
    }
    options[name] = argument(name, spec, text);
  }
  return options as Options;
}

function missingArgument(name: FlagName, spec: FlagSpec, next: string | undefined): string {
  const hint = next === undefined || flagSpelled(next) !== undefined ? '' : ` If that is the value, write --${name}=${next}.`;
  return `Option '${name}' needs a value: --${name} <${spec.argument ?? 'value'}>.${hint}`;
}

function argument(name: FlagName, spec: FlagSpec, text: string): unknown {
  switch (spec.kind) {
    case 'int32':
      return parseInt32(text) ?? refuse(name, `a whole number up to 2147483647 in size`, text);
    case 'int64':
      return parseInt64(text) ?? refuse(name, 'a whole number of at most 64 bits', text);
    case 'seconds':
      return parsePositive(text) ?? refuse(name, 'a number of seconds above 0', text);
    case 'format':
      return FORMATS.includes(text) ? text : refuse(name, 'console or json', text);
    case 'shell':
      return COMPLETION_SHELLS.includes(text) ? text : refuse(name, 'bash, zsh or fish', text);
    default:
      return text;
  }
}

function refuse(name: FlagName, wanted: string, text: string): never {
  throw new UsageError(`Option '${name}' takes ${wanted}, not '${text}'.`);
}

/** The command flags that were given, the one that runs first. */
export function commandsGiven(options: Options): readonly CommandFlag[] {
  return (Object.keys(COMMAND_FLAGS) as CommandFlag[]).filter(name => options[name] !== undefined);
}
