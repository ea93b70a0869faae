/** How the edited text lies on the screen: which row and column each part takes when the terminal wraps it. */
import { displayWidth, graphemes } from '../output/width.ts';

/** A stretch of text in one style. */
export interface Span {
  readonly text: string;
  readonly paint: (text: string) => string;
}

export interface Painted {
  /** Everything to write, from the first column of the first row on. */
  readonly output: string;
  /** Rows below the first. */
  readonly endRow: number;
  readonly cursorRow: number;
  readonly cursorColumn: number;
}

/** A tab is two blanks and another control character its picture: neither may move the cursor elsewhere than expected. */
function visible(grapheme: string): string {
  if (grapheme === '\t') return '  ';
  const code = grapheme.codePointAt(0) ?? 0;
  return code < 0x20 || code === 0x7f ? String.fromCodePoint(code === 0x7f ? 0x2421 : 0x2400 + code) : grapheme;
}

/**
 * Lays out spans behind a prompt; lines after the first stand behind the continuation prompt. A row that is filled to its end is
 * followed by a blank and a carriage return: terminals differ in whether the cursor is then still in it.
 */
export function paint(
  spans: readonly Span[],
  cursor: number,
  prompts: { readonly first: string; readonly next: string },
  columns: number,
): Painted {
  let output = '';
  let row = 0;
  let column = 0;
  let offset = 0;
  let cursorRow = 0;
  let cursorColumn = 0;

  const advance = (width: number): void => {
    if (column + width > columns) {
      row += 1;
      column = 0;
    }
    column += width;
  };
  const settle = (): void => {
    if (column < columns) return;
    output += ' \r';
    row += 1;
    column = 0;
  };
  const mark = (): void => {
    if (offset !== cursor) return;
    const full = column >= columns;
    cursorRow = full ? row + 1 : row;
    cursorColumn = full ? 0 : column;
  };
  const prompt = (text: string): void => {
    output += text;
    for (const grapheme of graphemes(text)) advance(displayWidth(grapheme));
  };

  prompt(prompts.first);
  for (const { text, paint: styled } of spans) {
    let run = '';
    const flush = (): void => {
      if (run !== '') output += styled(run);
      run = '';
    };
    for (const grapheme of graphemes(text)) {
      mark();
      offset += grapheme.length;
      if (grapheme === '\n' || grapheme === '\r\n') {
        flush();
        settle();
        output += '\r\n';
        row += 1;
        column = 0;
        prompt(prompts.next);
        continue;
      }
      const shown = visible(grapheme);
      for (const part of graphemes(shown)) advance(displayWidth(part));
      run += shown;
    }
    flush();
  }
  mark();
  settle();
  return { output, endRow: row, cursorRow, cursorColumn };
}
