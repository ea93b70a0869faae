import { displayWidth } from './width.ts';

/** A box of single lines: left aligned, one blank beside each cell, as wide as its content (spec cli §3.1). */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = header.map((title, column) => Math.max(...[title, ...rows.map(row => row[column] ?? '')].map(displayWidth)));
  const rule = (left: string, middle: string, right: string): string =>
    `${left}${widths.map(width => '─'.repeat(width + 2)).join(middle)}${right}`;
  const line = (cells: readonly string[]): string =>
    `│${widths.map((width, column) => ` ${padded(cells[column] ?? '', width)} `).join('│')}│`;
  return [rule('┌', '┬', '┐'), line(header), rule('├', '┼', '┤'), ...rows.map(line), rule('└', '┴', '┘')];
}

function padded(text: string, width: number): string {
  return text + ' '.repeat(width - displayWidth(text));
}
