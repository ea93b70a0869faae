/** Options of a bench command: `--name value`, `--name=value`, or `--name` alone for a switch. */
export class Arguments {
  readonly words: readonly string[];
  private readonly values = new Map<string, string>();

  constructor(argv: readonly string[]) {
    const words: string[] = [];
    for (let i = 0; i < argv.length; i++) {
      const word = argv[i] as string;
      if (!word.startsWith('--')) {
        words.push(word);
        continue;
      }
      const equals = word.indexOf('=');
      const following = argv[i + 1];
      if (equals > 0) this.values.set(word.slice(2, equals), word.slice(equals + 1));
      else if (following !== undefined && !following.startsWith('--')) {
        this.values.set(word.slice(2), following);
        i += 1;
      } else this.values.set(word.slice(2), 'true');
    }
    this.words = words;
  }

  number(name: string, otherwise: number): number {
    const text = this.values.get(name);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Error(`--${name} takes a number, not '${text}'`);
    return value;
  }

  numbers(name: string, otherwise: readonly number[]): readonly number[] {
    const text = this.values.get(name);
    if (text === undefined) return otherwise;
    const values = text.split(',').map(Number);
    if (values.some(value => !Number.isFinite(value))) throw new Error(`--${name} takes numbers, not '${text}'`);
    return values;
  }

  text(name: string, otherwise: string): string {
    return this.values.get(name) ?? otherwise;
  }

  flag(name: string): boolean {
    return this.values.get(name) === 'true';
  }
}
