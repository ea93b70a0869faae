/** What a piece of output is; how that looks is the style's matter (spec cli §5.1, scripts §17). */
export interface Style {
  /** The word that says what happened. */
  readonly state: (text: string) => string;
  /** The word that says that something did not happen or is not there. */
  readonly miss: (text: string) => string;
  readonly key: (text: string) => string;
  readonly error: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  /** In the line editor, by the class of a word. */
  readonly token: Readonly<Record<TokenClass, (text: string) => string>>;
}

export type TokenClass =
  | 'keyword'
  | 'command'
  | 'function'
  | 'constant'
  | 'number'
  | 'double'
  | 'single'
  | 'backtick'
  | 'comment';

const as = (code: string) => (text: string) => (text === '' ? '' : `\x1b[${code}m${text}\x1b[0m`);
const plain = (text: string): string => text;

/** For pipes, files and `NO_COLOR`. */
export const PLAIN: Style = {
  state: plain,
  miss: plain,
  key: plain,
  error: plain,
  dim: plain,
  bold: plain,
  token: {
    keyword: plain,
    command: plain,
    function: plain,
    constant: plain,
    number: plain,
    double: plain,
    single: plain,
    backtick: plain,
    comment: plain,
  },
};

/** The sixteen colours that every terminal has: its owner has chosen how they look on its background. */
export const COLOURED: Style = {
  state: as('36'),
  miss: as('33'),
  key: as('35'),
  error: as('31'),
  dim: as('2'),
  bold: as('1'),
  token: {
    keyword: as('34'),
    command: as('36'),
    function: as('33'),
    constant: as('31'),
    number: as('35'),
    double: as('32'),
    single: as('92'),
    backtick: as('96'),
    comment: as('2'),
  },
};
