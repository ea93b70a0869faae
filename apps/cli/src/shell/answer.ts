/** The result lines of statements (spec cli §5.1), whoever ran them. */
import type { Output } from '../output/output.ts';
import { type Rendering, shown, shownValue } from '../output/render.ts';

export interface AnswerRow {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly revision: number;
}

/** What became of a statement on one key. */
export type Outcome = 'set' | 'not set' | 'deleted' | 'extended' | 'exists' | 'not found';

/** Where only the counter of a key is known, a revision below 0 is left out; a miss shows it. */
export function outcomeLine(outcome: Outcome, revision: number, elapsed: string, { style }: Rendering): string {
  const missed = outcome === 'not set' || outcome === 'not found';
  const number = outcome === 'not found' || revision >= 0 ? `${revision}` : '-';
  return `r${number} ${missed ? style.miss(outcome) : style.state(outcome)} ${elapsed}`;
}

export function valueLine({ revision, value }: Omit<AnswerRow, 'key'>, elapsed: string, rendering: Rendering): string {
  return `r${revision} ${shownValue(value, rendering)} ${elapsed}`;
}

/** One row looks like a single get, several name their keys, and nothing is said about none. Prints as they come. */
export async function printRows(rows: AsyncIterable<AnswerRow>, elapsed: () => string, output: Output): Promise<void> {
  const { rendering } = output;
  const full = ({ revision, key, value }: AnswerRow): string =>
    `r${revision < 0 ? '-' : revision} ${rendering.style.key(shown(key, rendering))} ${shownValue(value, rendering)}`;
  let count = 0;
  let first: AnswerRow | undefined;
  for await (const row of rows) {
    count += 1;
    if (count === 1) first = row;
    else {
      if (first !== undefined) await output.line(full(first));
      first = undefined;
      await output.line(full(row));
    }
  }
  if (first !== undefined) await output.line(valueLine(first, elapsed(), rendering));
  else if (count > 1) await output.line(elapsed());
}
