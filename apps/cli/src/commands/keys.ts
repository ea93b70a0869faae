import type { Entry } from '@kahuna/client';
import { UsageError } from '../failures.ts';
import { type Json, toJson } from '../output/json.ts';
import { shown, shownValue, textOf } from '../output/render.ts';
import { type Call, type Prepare, stopwatch } from './command.ts';

const UTF8 = new TextEncoder();

function keyJson(key: string, success: boolean, revision: number, value: string | null): string {
  return toJson({ Key: key, success, revision, value, durability: 'Persistent' });
}

export const setKey: Prepare = options => {
  const { set: key = '', value, expires = 0 } = options;
  if (value === undefined) throw new UsageError('--set requires --value');
  if (expires < 0) throw new UsageError('--expires is a lifetime in milliseconds, 0 = for ever');
  return async ({ client, signal, output, json, input }) => {
    const bytes = value === '-' ? await input() : UTF8.encode(value);
    const elapsed = stopwatch();
    const answer = await client.keys.set(key, bytes, { signal, ttlMs: expires > 0 ? expires : undefined });
    const { style } = output.rendering;
    const state = answer.set ? style.state('set') : style.miss('not set');
    await output.line(
      json ? keyJson(key, answer.set, answer.revision, textOf(bytes)) : `r${answer.revision} ${state} ${elapsed()}`,
    );
    return true;
  };
};

export const getKey: Prepare =
  ({ get: key = '' }) =>
  async ({ client, signal, output, json }) => {
    const found = await client.keys.lookup(key, { signal });
    const { style } = output.rendering;
    if (!found.found) {
      await output.line(json ? keyJson(key, false, found.revision, null) : `r${found.revision} ${style.miss('not get')} `);
      return true;
    }
    const { revision, value } = found.entry;
    const text = value === null ? null : textOf(value);
    const line = `r${revision} ${style.state('get')} ${shownValue(value, output.rendering)}`;
    await output.line(json ? keyJson(key, true, revision, text) : line);
    return true;
  };

export const extendKey: Prepare = options => {
  const { extend: key = '', expires = 0 } = options;
  if (expires < 0) throw new UsageError('--expires is a lifetime in milliseconds, 0 = for ever');
  return async ({ client, signal, output, json }) => {
    const elapsed = stopwatch();
    const answer = await client.keys.extend(key, expires, { signal });
    const { style } = output.rendering;
    const state = answer.extended ? style.state('extended') : style.miss('not found');
    await output.line(json ? keyJson(key, answer.extended, answer.revision, null) : `r${answer.revision} ${state} ${elapsed()}`);
    return true;
  };
};

export const getByPrefix: Prepare =
  ({ 'get-by-prefix': prefix = '' }) =>
  call =>
    printRows(call, call.client.keys.bucket(prefix, { signal: call.signal }));

export const scanByPrefix: Prepare =
  ({ 'scan-by-prefix': prefix = '' }) =>
  call =>
    printRows(call, call.client.keys.prefix(prefix, { signal: call.signal }));

/** Rows as they arrive, so that a million of them need no memory; JSON is one document and waits for the last. */
async function printRows({ output, json }: Call, rows: AsyncIterable<Entry<Uint8Array>>): Promise<boolean> {
  const { rendering } = output;
  const collected: Json[] = [];
  for await (const { key, value, revision, expires } of rows) {
    if (json) collected.push({ key, value: value === null ? null : textOf(value), revision, expires: expires?.l ?? 0 });
    else await output.line(`r${revision} ${rendering.style.key(shown(key, rendering))} ${shownValue(value, rendering, '-')}`);
  }
  if (json) await output.line(toJson(collected));
  return true;
}
