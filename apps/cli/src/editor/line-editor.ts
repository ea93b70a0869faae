import { emitKeypressEvents } from 'node:readline';
import { displayWidth } from '../output/width.ts';
import type { Terminal } from '../shell/terminal.ts';
import { EditBuffer } from './edit-buffer.ts';
import { actionOf, type KeyAction, type KeyPress, textOfKey } from './keys.ts';
import { paint, type Span } from './layout.ts';

export interface Completion {
  /** Where the word begins that the candidates would replace. */
  readonly start: number;
  readonly candidates: readonly string[];
}

/** What the editor asks about the text it edits. */
export interface EditorGuide {
  readonly prompts: { readonly first: string; readonly next: string };
  readonly highlight: (text: string) => readonly Span[];
  readonly complete: (text: string, cursor: number) => Completion;
  /** Enter begins a new line rather than run this. */
  readonly isUnfinished: (text: string) => boolean;
  /** Earlier inputs, the newest last. */
  readonly history: () => readonly string[];
}

export type ReadResult =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'end' };

interface Pending {
  readonly buffer: EditBuffer;
  readonly resolve: (result: ReadResult) => void;
  /** Entry of the history that is shown; its length = the draft. */
  historyAt: number;
  readonly history: readonly string[];
  draft: string;
  /** Screen row of the cursor, counted from the row of the prompt. */
  cursorRow: number;
  paintScheduled: boolean;
  search: Search | undefined;
}

/** An incremental search through the history (Ctrl+R). */
interface Search {
  query: string;
  /** Entries before this one are searched next. */
  before: number;
  readonly original: string;
}

const BRACKETED_PASTE = { on: '\x1b[?2004h', off: '\x1b[?2004l' };
const CLEAR_BELOW = '\x1b[J';
const CLEAR_SCREEN = '\x1b[H\x1b[2J';
/** Two blank continuation lines in a row. */
const GIVEN_UP = /\n[ \t]*\n[ \t]*$/;

/** Keys that change nothing but the text and the cursor. */
const EDITS: Partial<Readonly<Record<KeyAction, (buffer: EditBuffer) => void>>> = {
  'new-line': buffer => buffer.insert('\n'),
  left: buffer => buffer.left(),
  right: buffer => buffer.right(),
  'word-left': buffer => buffer.wordLeft(),
  'word-right': buffer => buffer.wordRight(),
  'line-start': buffer => buffer.lineStart(),
  'line-end': buffer => buffer.lineEnd(),
  'first-line': buffer => buffer.firstLine(),
  'last-line': buffer => buffer.lastLine(),
  backspace: buffer => buffer.backspace(),
  delete: buffer => buffer.delete(),
  'delete-word-left': buffer => buffer.deleteWordLeft(),
  'delete-word-right': buffer => buffer.deleteWordRight(),
  'delete-to-line-start': buffer => buffer.deleteToLineStart(),
  'delete-to-line-end': buffer => buffer.deleteToLineEnd(),
};

/**
 * A line editor for texts of several lines, with history, completion and colours. Node's own `readline` knows one line at a time and
 * paints it itself, so only its decoding of keys is used.
 *
 * While no text is being read, keys wait for the next one, and Ctrl+C goes to `onInterrupt`.
 */
export class LineEditor {
  onInterrupt: () => void = () => undefined;
  private readonly terminal: Terminal;
  private readonly guide: EditorGuide;
  private pending: Pending | undefined;
  private waiting: (readonly [string | undefined, KeyPress])[] = [];
  private pasted: string | undefined;
  private ended = false;
  private readonly release: () => void;

  constructor(terminal: Terminal, guide: EditorGuide) {
    this.terminal = terminal;
    this.guide = guide;
    const { input } = terminal;
    emitKeypressEvents(input);
    const press = (character: string | undefined, key: KeyPress): void => this.pressed(character, key);
    const end = (): void => this.inputEnded();
    input.on('keypress', press);
    input.on('end', end);
    input.on('close', end);
    const stopResize = terminal.onResize(() => this.schedulePaint());
    this.release = () => {
      input.off('keypress', press);
      input.off('end', end);
      input.off('close', end);
      stopResize();
    };
    terminal.setRawMode(true);
    input.resume();
  }

  /** The next text. One at a time. */
  read(): Promise<ReadResult> {
    return new Promise(resolve => {
      const history = this.guide.history();
      this.pending = {
        ...{ buffer: new EditBuffer(), resolve, history, historyAt: history.length },
        ...{ draft: '', cursorRow: 0, paintScheduled: false, search: undefined },
      };
      this.terminal.output.write(BRACKETED_PASTE.on);
      this.paint();
      const keys = this.waiting;
      this.waiting = [];
      for (const [character, key] of keys) this.pressed(character, key);
      if (this.ended) this.finish({ kind: 'end' });
    });
  }

  /** The text being read ends as if the input had. */
  inputEnded(): void {
    this.ended = true;
    if (this.pending) this.finish({ kind: 'end' });
  }

  /** Gives the terminal back. */
  close(): void {
    this.release();
    this.terminal.setRawMode(false);
    this.terminal.input.pause();
  }

  private pressed(character: string | undefined, key: KeyPress): void {
    const action = actionOf(key);
    if (this.pending === undefined) {
      if (action === 'interrupt') {
        this.waiting = [];
        this.onInterrupt();
      } else this.waiting.push([character, key]);
      return;
    }
    if (this.pasted !== undefined || action === 'paste-start') this.paste(action, character, key);
    else if (this.pending.search !== undefined)
      this.searchKey(this.pending, this.pending.search, action, textOfKey(character, key));
    else this.act(this.pending, action, textOfKey(character, key));
    this.schedulePaint();
  }

  /** Pasted text is inserted as it is: its line breaks do not run it. */
  private paste(action: KeyAction | undefined, character: string | undefined, key: KeyPress): void {
    if (action === 'paste-start') this.pasted = '';
    else if (action === 'paste-end') {
      this.pending?.buffer.insert((this.pasted ?? '').replace(/\r\n?/g, '\n'));
      this.pasted = undefined;
    } else this.pasted += character ?? key.sequence ?? '';
  }

  private act(pending: Pending, action: KeyAction | undefined, text: string | undefined): void {
    const { buffer } = pending;
    if (action === undefined) {
      if (text !== undefined) buffer.insert(text);
      return;
    }
    const edit = EDITS[action];
    if (edit !== undefined) edit(buffer);
    else if (action === 'enter') this.enter(buffer);
    else if (action === 'up' && !buffer.up()) this.recall(pending, pending.historyAt - 1);
    else if (action === 'down' && !buffer.down()) this.recall(pending, pending.historyAt + 1);
    else if (action === 'search') pending.search = { query: '', before: pending.history.length, original: buffer.text };
    else if (action === 'clear-screen') this.clearScreen(pending);
    else if (action === 'complete') this.complete(pending);
    else if (action === 'interrupt') this.interrupt(pending);
    else if (action === 'end') this.endOrDelete(buffer);
  }

  private clearScreen(pending: Pending): void {
    this.terminal.output.write(CLEAR_SCREEN);
    pending.cursorRow = 0;
  }

  private endOrDelete(buffer: EditBuffer): void {
    if (buffer.text === '') this.finish({ kind: 'end' });
    else buffer.delete();
  }

  private enter(buffer: EditBuffer): void {
    const { text } = buffer;
    if (this.guide.isUnfinished(text) && !GIVEN_UP.test(text)) buffer.insert('\n');
    else this.finish({ kind: 'text', text });
  }

  private interrupt({ buffer }: Pending): void {
    if (buffer.text === '') this.finish({ kind: 'interrupt' });
    else this.finish({ kind: 'text', text: '' });
  }

  private recall(pending: Pending, at: number): void {
    const { history, historyAt, buffer } = pending;
    if (at < 0 || at > history.length) return;
    if (historyAt === history.length) pending.draft = buffer.text;
    pending.historyAt = at;
    buffer.replace(at === history.length ? pending.draft : (history[at] as string));
  }

  private searchKey(pending: Pending, search: Search, action: KeyAction | undefined, text: string | undefined): void {
    if (action === 'search') this.find(pending, search, search.before);
    else if (action === 'backspace') {
      search.query = search.query.slice(0, -1);
      this.find(pending, search, pending.history.length);
    } else if (action === undefined && text !== undefined) {
      search.query += text;
      this.find(pending, search, pending.history.length);
    } else {
      pending.search = undefined;
      if (action === 'interrupt' || action === 'escape') pending.buffer.replace(search.original);
      else this.act(pending, action, text);
    }
  }

  private find({ history, buffer }: Pending, search: Search, before: number): void {
    if (search.query === '') return;
    const at = history.slice(0, before).findLastIndex(entry => entry.includes(search.query));
    if (at === -1) return;
    search.before = at;
    buffer.replace(history[at] as string);
  }

  private complete({ buffer }: Pending): void {
    const { start, candidates } = this.guide.complete(buffer.text, buffer.cursor);
    const [only] = candidates;
    if (only === undefined) return;
    if (candidates.length === 1) {
      buffer.replaceSpan(start, buffer.cursor, only.endsWith('/') ? only : `${only} `);
      return;
    }
    const shared = commonStart(candidates);
    if (shared.length > buffer.cursor - start) buffer.replaceSpan(start, buffer.cursor, shared);
    else this.list(candidates);
  }

  private list(candidates: readonly string[]): void {
    const { pending } = this;
    if (pending === undefined) return;
    const cell = Math.max(...candidates.map(displayWidth)) + 2;
    const perRow = Math.max(1, Math.floor(this.terminal.columns() / cell));
    const rows: string[] = [];
    for (let at = 0; at < candidates.length; at += perRow) {
      const row = candidates.slice(at, at + perRow).map(candidate => candidate + ' '.repeat(cell - displayWidth(candidate)));
      rows.push(row.join('').trimEnd());
    }
    this.leaveText(pending);
    this.terminal.output.write(`${rows.join('\r\n')}\r\n`);
    pending.cursorRow = 0;
  }

  /** The cursor goes below the text, to the beginning of a row. */
  private leaveText(pending: Pending): void {
    const painted = this.layout(pending, pending.buffer.text.length);
    this.terminal.output.write(`${toFirstRow(pending.cursorRow)}${CLEAR_BELOW}${painted.output}\r\n`);
  }

  private finish(result: ReadResult): void {
    const { pending } = this;
    if (pending === undefined) return;
    pending.search = undefined;
    this.leaveText(pending);
    this.pending = undefined;
    this.pasted = undefined;
    this.terminal.output.write(BRACKETED_PASTE.off);
    pending.resolve(result);
  }

  /** Once for all keys that arrive together. */
  private schedulePaint(): void {
    const { pending } = this;
    if (pending === undefined || pending.paintScheduled) return;
    pending.paintScheduled = true;
    queueMicrotask(() => {
      pending.paintScheduled = false;
      if (this.pending === pending) this.paint();
    });
  }

  private paint(): void {
    const { pending } = this;
    if (pending === undefined) return;
    const { output, endRow, cursorRow, cursorColumn } = this.layout(pending, pending.buffer.cursor);
    const back =
      (endRow > cursorRow ? `\x1b[${endRow - cursorRow}A` : '') + (cursorColumn > 0 ? `\r\x1b[${cursorColumn}C` : '\r');
    this.terminal.output.write(`${toFirstRow(pending.cursorRow)}${CLEAR_BELOW}${output}${back}`);
    pending.cursorRow = cursorRow;
  }

  private layout(pending: Pending, cursor: number): ReturnType<typeof paint> {
    const { prompts, highlight } = this.guide;
    const first = pending.search === undefined ? prompts.first : `(search) '${pending.search.query}': `;
    return paint(highlight(pending.buffer.text), cursor, { first, next: prompts.next }, Math.max(1, this.terminal.columns()));
  }
}

function toFirstRow(row: number): string {
  return row > 0 ? `\x1b[${row}A\r` : '\r';
}

function commonStart(words: readonly string[]): string {
  const [first = '', ...others] = words;
  let length = first.length;
  for (const word of others) {
    let same = 0;
    while (same < length && word[same] === first[same]) same += 1;
    length = same;
  }
  return first.slice(0, length);
}
