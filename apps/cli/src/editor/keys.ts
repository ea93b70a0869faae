/** What a key means to the line editor (spec cli §5.2). */
export type KeyAction =
  | 'enter'
  | 'new-line'
  | 'left'
  | 'right'
  | 'word-left'
  | 'word-right'
  | 'line-start'
  | 'line-end'
  | 'first-line'
  | 'last-line'
  | 'up'
  | 'down'
  | 'backspace'
  | 'delete'
  | 'delete-word-left'
  | 'delete-word-right'
  | 'delete-to-line-start'
  | 'delete-to-line-end'
  | 'search'
  | 'clear-screen'
  | 'complete'
  | 'interrupt'
  | 'end'
  | 'escape'
  | 'paste-start'
  | 'paste-end';

/** A key press as `readline.emitKeypressEvents` reports it. */
export interface KeyPress {
  readonly sequence?: string;
  readonly name?: string;
  readonly ctrl?: boolean;
  readonly meta?: boolean;
  readonly shift?: boolean;
}

const PLAIN: Readonly<Record<string, KeyAction>> = {
  return: 'enter',
  enter: 'enter',
  left: 'left',
  right: 'right',
  up: 'up',
  down: 'down',
  home: 'line-start',
  end: 'line-end',
  pageup: 'first-line',
  pagedown: 'last-line',
  backspace: 'backspace',
  delete: 'delete',
  tab: 'complete',
  escape: 'escape',
  'paste-start': 'paste-start',
  'paste-end': 'paste-end',
};
const WITH_CONTROL: Readonly<Record<string, KeyAction>> = {
  left: 'word-left',
  right: 'word-right',
  a: 'line-start',
  b: 'left',
  c: 'interrupt',
  d: 'end',
  e: 'line-end',
  f: 'right',
  h: 'backspace',
  k: 'delete-to-line-end',
  l: 'clear-screen',
  n: 'down',
  p: 'up',
  r: 'search',
  u: 'delete-to-line-start',
  w: 'delete-word-left',
};
const WITH_ALT: Readonly<Record<string, KeyAction>> = {
  return: 'new-line',
  enter: 'new-line',
  left: 'word-left',
  right: 'word-right',
  b: 'word-left',
  d: 'delete-word-right',
  f: 'word-right',
  backspace: 'delete-word-left',
};
/** Shift+Enter, as terminals that tell it from Enter send it: fixterms/kitty, and xterm with modifyOtherKeys. */
const NEW_LINE_SEQUENCES: ReadonlySet<string> = new Set(['\x1b[13;2u', '\x1b[27;2;13~', '\x1bOM']);

/** The action of a key; undefined where it stands for the text that it types, if any. */
export function actionOf(key: KeyPress): KeyAction | undefined {
  if (NEW_LINE_SEQUENCES.has(key.sequence ?? '')) return 'new-line';
  const name = key.name ?? '';
  if (key.ctrl) return WITH_CONTROL[name];
  if (key.meta) return WITH_ALT[name] ?? (name === 'escape' ? 'escape' : undefined);
  return PLAIN[name];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a control character is a key, not text.
const CONTROL = /[\x00-\x1f\x7f]/;

/** The text that a key types; undefined for keys that type none. */
export function textOfKey(character: string | undefined, key: KeyPress): string | undefined {
  if (character === undefined || key.ctrl || key.meta || CONTROL.test(character)) return undefined;
  return character;
}
