import type { Kahuna } from '@kahuna/client';
import { stopwatch } from '../commands/command.ts';
import type { Output } from '../output/output.ts';
import { type Outcome, outcomeLine, printRows, valueLine } from './answer.ts';
import type { Statement } from './statement.ts';

/** Runs one statement as the one operation it is, and prints its result. */
export async function runStatement(statement: Statement, client: Kahuna, signal: AbortSignal, output: Output): Promise<void> {
  const { rendering } = output;
  const elapsed = stopwatch();
  const { durability } = statement;
  const { keys } = client;
  const outcome = (word: Outcome, revision: number): Promise<void> =>
    output.line(outcomeLine(word, revision, elapsed(), rendering));

  switch (statement.kind) {
    case 'set': {
      const { key, value, expiresMs, ...conditions } = statement;
      const ttlMs = expiresMs > 0 ? expiresMs : undefined;
      const { set, revision } = await keys.set(key, value, { ...conditions, ttlMs, signal });
      return outcome(set ? 'set' : 'not set', revision);
    }
    case 'get': {
      const { key, revision, asOf } = statement;
      const found = await keys.lookup(key, { durability, revision, asOf, signal });
      if (!found.found) return outcome('not found', found.revision);
      return output.line(valueLine(found.entry, elapsed(), rendering));
    }
    case 'exists': {
      const { key, revision, asOf } = statement;
      const found = await keys.stat(key, { durability, revision, asOf, signal });
      return outcome(found.exists ? 'exists' : 'not found', found.revision);
    }
    case 'delete': {
      const { deleted, revision } = await keys.delete(statement.key, { durability, signal });
      return outcome(deleted ? 'deleted' : 'not found', revision);
    }
    case 'extend': {
      const { extended, revision } = await keys.extend(statement.key, statement.expiresMs, { durability, signal });
      return outcome(extended ? 'extended' : 'not found', revision);
    }
    case 'bucket':
    case 'scan': {
      const { prefix, asOf } = statement;
      const options = { durability, asOf, signal };
      return printRows(
        statement.kind === 'bucket' ? keys.bucket(prefix, options) : keys.prefix(prefix, options),
        elapsed,
        output,
      );
    }
  }
}
