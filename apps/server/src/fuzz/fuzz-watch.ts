import type { Rng } from '@kahuna/base';
import WebSocket from 'ws';
import { shapeSchema } from '../rest/shape.ts';
import { WATCH_PATH } from '../watch/index.ts';
import { WATCH_SHAPE } from '../watch/watch-messages.ts';
import { CloseCode } from '../watch/watch-session.ts';
import { hostileJson, type Schema } from './hostile-json.ts';
import { hostileBytes, hostileText, mutated } from './hostile-values.ts';

const ANSWER_LIMIT_MS = 40_000;
const MAX_MESSAGES = 20;
/** Of the one watch on each socket that is as it should be. */
const PROBE_ID = 2 ** 31 - 1;
const PROBE = JSON.stringify({ t: 'watch', id: PROBE_ID, key: 'probe' });

/** How a socket may end, whatever came (docs/watch.md); 1007 and 1009 are of the WebSocket protocol itself. */
const CLOSES: readonly number[] = [...Object.values(CloseCode), 1007, 1009];
const ENDS: readonly unknown[] = ['INVALID_ARGUMENT', 'UNAVAILABLE', 'HISTORY_PRUNED', 'RESOURCE_EXHAUSTED', 'NOT_LEADER'];

/** Watch messages over WebSockets that are well-formed and odd, or broken. */
export class WatchFuzzer {
  private readonly url: string;
  private readonly rng: Rng;
  messages = 0;

  constructor(url: string, rng: Rng) {
    this.url = `${url.replace('http', 'ws')}${WATCH_PATH}`;
    this.rng = rng;
  }

  /** One socket: some messages, then a watch that must begin unless the socket was closed as documented. */
  once(): Promise<void> {
    const sent = Array.from({ length: this.rng.int(1, MAX_MESSAGES) }, () => this.message());
    this.messages += sent.length;
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.url);
      const fail = (what: string): void => {
        clearTimeout(limit);
        socket.terminate();
        const shown = sent.map(message =>
          typeof message === 'string' ? message.slice(0, 200) : message.toString('hex', 0, 100),
        );
        reject(new Error(`${WATCH_PATH} ${what} for\n${shown.join('\n')}`));
      };
      const limit = setTimeout(() => fail('did not answer'), ANSWER_LIMIT_MS);
      const done = (): void => {
        clearTimeout(limit);
        socket.terminate();
        resolve();
      };
      socket.on('error', error => fail(error.message));
      socket.on('close', code => (CLOSES.includes(code) ? done() : fail(`closed with ${code}`)));
      socket.on('message', data => {
        const wrong = wrongIn(String(data));
        if (wrong !== undefined) fail(wrong);
        else if (String(data).startsWith(`{"t":"events","id":${PROBE_ID},`)) done();
      });
      socket.on('open', () => {
        for (const message of [...sent, PROBE]) socket.send(message);
      });
    });
  }

  private message(): string | Buffer {
    const { rng } = this;
    if (rng.chance(0.02)) return hostileBytes(rng);
    if (rng.chance(0.03)) return hostileText(rng);
    const text = this.watch();
    // Bytes of a text message must be UTF-8, or the protocol itself ends the socket.
    return rng.chance(0.05) ? mutated(rng, Buffer.from(text)).toString() : text;
  }

  /** Mostly one target and one beginning, which is what gets further than the first check. */
  private watch(): string {
    const { rng } = this;
    const kind = rng.pick(['watch', 'watch', 'watch', 'watch', 'unwatch', 'ping']);
    const id = rng.chance(0.9) ? String(rng.int(0, 5)) : hostileJson(rng, { type: 'integer' });
    const names = rng.chance(0.8)
      ? [rng.pick(TARGETS), ...(rng.chance(0.6) ? [rng.pick(STARTS)] : []), ...(rng.chance(0.3) ? ['progressMs'] : [])]
      : Object.keys(SCHEMAS).filter(() => rng.chance(0.3));
    const members = names.map(name => `${JSON.stringify(name)}:${hostileJson(rng, SCHEMAS[name] ?? {})}`);
    return `{${[`"t":"${kind}"`, `"id":${id}`, ...members].join(',')}}`;
  }
}

const SCHEMAS: Readonly<Record<string, Schema>> = shapeSchema(WATCH_SHAPE).properties ?? {};
const TARGETS = ['key', 'bucket', 'prefix', 'range', 'lock', 'sequence'] as const;
const STARTS = ['initial', 'after', 'fromRevision', 'position', 'durability'] as const;

/** What is no documented message. */
function wrongIn(text: string): string | undefined {
  const { t, id, events, code, message } = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const documented =
    (t === 'events' && Number.isInteger(id) && Array.isArray(events)) ||
    (t === 'end' && Number.isInteger(id) && ENDS.includes(code) && typeof message === 'string') ||
    (t === 'error' && typeof message === 'string');
  return documented ? undefined : `sent ${text.slice(0, 500)}`;
}
