import type { Span } from '../editor/layout.ts';
import type { Style, TokenClass } from '../output/style.ts';
import { type Token, tokenize } from './lexer.ts';
import { COMMANDS, CONSTANTS, FUNCTIONS, KEYWORDS } from './words.ts';

const CLASSES: ReadonlyMap<string, TokenClass> = new Map<string, TokenClass>([
  ...FUNCTIONS.map(word => [word, 'function'] as const),
  ...CONSTANTS.map(word => [word, 'constant'] as const),
  ...COMMANDS.map(word => [word, 'command'] as const),
  ...KEYWORDS.map(word => [word, 'keyword'] as const),
]);
const QUOTES: Readonly<Record<string, TokenClass>> = { '"': 'double', "'": 'single', '`': 'backtick' };

/** The text in coloured stretches, nothing left out. */
export function highlight(text: string, style: Style): readonly Span[] {
  const spans: Span[] = [];
  let at = 0;
  const plain = (end: number): void => {
    if (end > at) spans.push({ text: text.slice(at, end), paint: unpainted });
  };
  for (const token of tokenize(text)) {
    const kind = classOf(token);
    if (kind === undefined) continue;
    plain(token.start);
    spans.push({ text: token.text, paint: style.token[kind] });
    at = token.end;
  }
  plain(text.length);
  return spans;
}

function classOf({ kind, text }: Token): TokenClass | undefined {
  switch (kind) {
    case 'word':
      return CLASSES.get(text.toLowerCase());
    case 'string':
      return QUOTES[text[0] ?? ''];
    case 'number':
    case 'comment':
      return kind;
    default:
      return undefined;
  }
}

function unpainted(text: string): string {
  return text;
}
