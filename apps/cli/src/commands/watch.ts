import type { Change, Watch } from '@kahuna/client';
import { toJson } from '../output/json.ts';
import { shown, shownValue, textOf } from '../output/render.ts';
import type { Call, Prepare } from './command.ts';

/** `--watch`: what is there, then what happens to one key, until Ctrl+C. */
export const watchKey: Prepare =
  ({ watch: key = '' }) =>
  call =>
    follow(call, call.client.watch.key(key, { signal: call.signal, initial: true }));

/** `--watch-prefix`: the same for all keys that begin with a text. */
export const watchPrefix: Prepare =
  ({ 'watch-prefix': prefix = '' }) =>
  call =>
    follow(call, call.client.watch.prefix(prefix, { signal: call.signal, initial: true }));

async function follow(call: Call, watch: Watch): Promise<boolean> {
  for await (const change of watch) await call.output.line(call.json ? changeJson(change) : changeLine(call, change));
  return true;
}

function changeLine({ output }: Call, { kind, initial, key, revision, value }: Change): string {
  const { rendering } = output;
  const word = initial ? 'is' : kind;
  const name = kind === 'set' || kind === 'extend' ? rendering.style.state(word) : rendering.style.miss(word);
  const text = kind === 'set' ? ` ${shownValue(value, rendering)}` : '';
  return `r${revision} ${name} ${shown(key, rendering)}${text}`;
}

function changeJson({ kind, initial, key, revision, value, stamp, expires }: Change): string {
  return toJson({
    kind,
    initial,
    Key: key,
    revision,
    value: value === null ? null : textOf(value),
    atMs: stamp.l,
    expiresMs: expires === undefined ? null : expires.l,
  });
}
