import { graphemes } from '../output/width.ts';

const WORD = /[\p{L}\p{N}_]/u;

/**
 * What is being typed: a text of one or more lines and a cursor. The cursor is an offset into the text and always between two
 * characters as a reader counts them, so that an emoji or an accented letter is never cut in two.
 */
export class EditBuffer {
  private content = '';
  private at = 0;
  /** Column that going up and down tries to keep, until something else moves the cursor. */
  private wantedColumn: number | undefined;

  get text(): string {
    return this.content;
  }

  get cursor(): number {
    return this.at;
  }

  /** The cursor goes to the end. */
  replace(text: string): void {
    this.content = text;
    this.moveTo(text.length);
  }

  insert(text: string): void {
    this.replaceSpan(this.at, this.at, text);
  }

  /** Puts `text` where `start` … `end` was, and the cursor behind it. */
  replaceSpan(start: number, end: number, text: string): void {
    this.content = this.content.slice(0, start) + text + this.content.slice(end);
    this.moveTo(start + text.length);
  }

  backspace(): void {
    this.replaceSpan(this.before(), this.at, '');
  }

  delete(): void {
    const start = this.at;
    this.replaceSpan(start, this.after(), '');
  }

  left(): void {
    this.moveTo(this.before());
  }

  right(): void {
    this.moveTo(this.after());
  }

  wordLeft(): void {
    this.moveTo(this.wordStart());
  }

  wordRight(): void {
    this.moveTo(this.wordEnd());
  }

  lineStart(): void {
    this.moveTo(this.startOfLine(this.at));
  }

  lineEnd(): void {
    this.moveTo(this.endOfLine(this.at));
  }

  firstLine(): void {
    this.moveTo(0);
  }

  lastLine(): void {
    this.moveTo(this.content.length);
  }

  /** False on the first line: the cursor stays. */
  up(): boolean {
    const start = this.startOfLine(this.at);
    if (start === 0) return false;
    this.toColumn(this.startOfLine(start - 1), this.at - start);
    return true;
  }

  /** False on the last line: the cursor stays. */
  down(): boolean {
    const end = this.endOfLine(this.at);
    if (end === this.content.length) return false;
    this.toColumn(end + 1, this.at - this.startOfLine(this.at));
    return true;
  }

  deleteWordLeft(): void {
    this.replaceSpan(this.wordStart(), this.at, '');
  }

  deleteWordRight(): void {
    const start = this.at;
    this.replaceSpan(start, this.wordEnd(), '');
  }

  deleteToLineStart(): void {
    this.replaceSpan(this.startOfLine(this.at), this.at, '');
  }

  /** At the end of a line, its line break. */
  deleteToLineEnd(): void {
    const start = this.at;
    const end = this.endOfLine(start);
    this.replaceSpan(start, end === start ? Math.min(start + 1, this.content.length) : end, '');
  }

  private moveTo(offset: number): void {
    this.at = offset;
    this.wantedColumn = undefined;
  }

  private toColumn(lineStart: number, column: number): void {
    const wanted = this.wantedColumn ?? column;
    const line = this.content.slice(lineStart, this.endOfLine(lineStart));
    let offset = 0;
    for (const grapheme of graphemes(line)) {
      if (offset + grapheme.length > wanted) break;
      offset += grapheme.length;
    }
    this.at = lineStart + offset;
    this.wantedColumn = wanted;
  }

  private before(): number {
    const last = graphemes(this.content.slice(this.startOfLine(this.at), this.at)).at(-1);
    return Math.max(0, this.at - (last?.length ?? 1));
  }

  private after(): number {
    const first = graphemes(this.content.slice(this.at, this.endOfLine(this.at)))[0];
    return Math.min(this.content.length, this.at + (first?.length ?? 1));
  }

  private wordStart(): number {
    let at = this.at;
    while (at > 0 && !WORD.test(this.content[at - 1] as string)) at -= 1;
    while (at > 0 && WORD.test(this.content[at - 1] as string)) at -= 1;
    return at;
  }

  private wordEnd(): number {
    const { length } = this.content;
    let at = this.at;
    while (at < length && !WORD.test(this.content[at] as string)) at += 1;
    while (at < length && WORD.test(this.content[at] as string)) at += 1;
    return at;
  }

  private startOfLine(offset: number): number {
    return offset === 0 ? 0 : this.content.lastIndexOf('\n', offset - 1) + 1;
  }

  private endOfLine(offset: number): number {
    const end = this.content.indexOf('\n', offset);
    return end === -1 ? this.content.length : end;
  }
}
