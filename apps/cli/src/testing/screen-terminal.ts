import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { Terminal } from '../shell/terminal.ts';

/**
 * A terminal for tests: what is typed is given as bytes, and what is written is obeyed on a screen of characters, as far as the line
 * editor uses it. Every character is one column wide.
 */
export class ScreenTerminal implements Terminal {
  readonly input = new PassThrough();
  rawMode = false;
  private width: number;
  private readonly rows: string[][] = [[]];
  private row = 0;
  private column = 0;
  private resized: () => void = () => undefined;

  constructor(columns = 80) {
    this.width = columns;
  }

  readonly output = {
    write: (text: string): boolean => {
      this.obey(text);
      return true;
    },
    once: (): void => undefined,
    off: (): void => undefined,
  };

  setRawMode(raw: boolean): void {
    this.rawMode = raw;
  }

  columns(): number {
    return this.width;
  }

  onResize(listener: () => void): () => void {
    this.resized = listener;
    return () => {
      this.resized = () => undefined;
    };
  }

  resize(columns: number): void {
    this.width = columns;
    this.resized();
  }

  /** Types, and waits until it has been worked off. */
  async type(keys: string): Promise<void> {
    this.input.write(keys);
    for (let turns = 0; turns < 3; turns++) await turn();
  }

  /** The rows as they can be read, without blanks at their ends and empty rows below. */
  text(): string {
    return this.rows
      .map(row =>
        row
          .map(character => character ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n')
      .trimEnd();
  }

  cursor(): readonly [row: number, column: number] {
    return [this.row, this.column];
  }

  private obey(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal obeys.
    for (const part of text.match(/\x1b\[[?0-9;]*[A-Za-z]|[\s\S]/g) ?? []) {
      if (part.length > 1) this.control(part);
      else this.character(part);
    }
  }

  private control(sequence: string): void {
    const count = Number.parseInt(sequence.slice(2), 10) || 1;
    switch (sequence.at(-1)) {
      case 'A':
        this.row -= count;
        return;
      case 'C':
        this.column += count;
        return;
      case 'H':
        this.row = 0;
        this.column = 0;
        return;
      case 'J':
        if (sequence.includes('2J')) this.rows.splice(0, this.rows.length, []);
        else {
          this.rows.splice(this.row + 1);
          this.at(this.row).splice(this.column);
        }
        return;
      default:
        return;
    }
  }

  private character(character: string): void {
    if (character === '\r') this.column = 0;
    else if (character === '\n') {
      this.row += 1;
      this.column = 0;
      this.at(this.row);
    } else {
      if (this.column >= this.width) {
        this.row += 1;
        this.column = 0;
      }
      this.at(this.row)[this.column] = character;
      this.column += 1;
    }
  }

  private at(row: number): string[] {
    while (this.rows.length <= row) this.rows.push([]);
    return this.rows[row] as string[];
  }
}
