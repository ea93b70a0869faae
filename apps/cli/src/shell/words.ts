/** The words of the shell, for highlighting and completion (spec cli §5.4). */

const KEY_VALUE = [
  ...['set', 'get', 'del', 'delete', 'extend', 'exists', 'eset', 'eget', 'edel', 'edelete', 'eextend', 'eexists'],
  ...['nx', 'xx', 'ex', 'norev', 'at', 'as', 'of', 'cmp', 'cmprev', 'by', 'prefix', 'bucket', 'scan', 'escan'],
];
const CONTROL = [
  ...['not', 'let', 'if', 'else', 'then', 'end', 'switch', 'case', 'for', 'in', 'do', 'begin', 'rollback', 'commit'],
  ...['return', 'sleep', 'throw', 'found'],
];
export const LOCK_COMMANDS = [
  ...['lock', 'extend-lock', 'unlock', 'get-lock', 'elock', 'eextend-lock', 'eunlock', 'eget-lock'],
] as const;
export const SEQUENCE_COMMANDS = [
  ...['create-sequence', 'get-sequence', 'next-sequence', 'reserve-sequence', 'delete-sequence'],
] as const;
const SHELL_COMMANDS = ['run', 'clear', 'exit', 'quit', 'cluster', 'backup', 'list', 'watch', 'help'];

export const KEYWORDS: readonly string[] = [...KEY_VALUE, ...CONTROL];
export const COMMANDS: readonly string[] = [...LOCK_COMMANDS, ...SEQUENCE_COMMANDS, ...SHELL_COMMANDS];
export const FUNCTIONS: readonly string[] = [
  ...['to_int', 'to_long', 'to_double', 'to_float', 'to_boolean', 'to_bool', 'to_string', 'to_str', 'is_int', 'is_integer'],
  ...['is_long', 'is_double', 'is_float', 'is_boolean', 'is_bool', 'is_string', 'is_str', 'is_null', 'to_json', 'revision'],
  ...['rev', 'length', 'len', 'expires', 'count', 'upper', 'lower', 'concat', 'trim', 'max', 'min', 'round', 'ceil', 'floor'],
  ...['abs', 'pow', 'current_time'],
];
export const CONSTANTS: readonly string[] = ['null', 'true', 'false'];

/** Words with which a statement of the language begins. */
export const STATEMENT_WORDS: readonly string[] = [
  ...[
    'set',
    'get',
    'del',
    'delete',
    'extend',
    'exists',
    'eset',
    'eget',
    'edel',
    'edelete',
    'eextend',
    'eexists',
    'scan',
    'escan',
  ],
  ...['let', 'if', 'switch', 'for', 'begin', 'rollback', 'commit', 'return', 'sleep', 'throw'],
];
