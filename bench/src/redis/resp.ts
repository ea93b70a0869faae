/**
 * The part of the Redis serialization protocol (RESP 2) that the recipes of the comparison use: commands as arrays of bulk
 * strings; answers that are simple strings, errors, integers or bulk strings.
 */

/** null: there is no such value. */
export type RespReply = string | number | null | RespError;

/** The server refused a command; what it said. */
export class RespError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export function encodeCommand(words: readonly (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return Buffer.concat(parts);
}

const CRLF = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

/** Cuts what a connection delivers, however it is split, into answers. */
export class RespReader {
  private readonly onReply: (reply: RespReply) => void;
  private bytes: Buffer = NOTHING;
  private at = 0;

  constructor(onReply: (reply: RespReply) => void) {
    this.onReply = onReply;
  }

  /** Throws on bytes that are no answer of the kinds above. */
  push(chunk: Buffer): void {
    this.bytes = this.at === this.bytes.length ? chunk : Buffer.concat([this.bytes.subarray(this.at), chunk]);
    this.at = 0;
    while (this.at < this.bytes.length) {
      const reply = this.next();
      if (reply === undefined) return;
      this.onReply(reply);
    }
  }

  /** undefined: more bytes have to come; nothing is consumed. */
  private next(): RespReply | undefined {
    const lineEnd = this.bytes.indexOf(CRLF, this.at);
    if (lineEnd < 0) return undefined;
    const line = this.bytes.toString('latin1', this.at + 1, lineEnd);
    const kind = String.fromCharCode(this.bytes[this.at] as number);
    const after = lineEnd + CRLF.length;
    switch (kind) {
      case '+':
        this.at = after;
        return line;
      case '-':
        this.at = after;
        return new RespError(line);
      case ':':
        this.at = after;
        return Number(line);
      case '$':
        return this.bulk(Number(line), after);
      default:
        throw new Error(`an answer that begins with '${kind}' was not expected`);
    }
  }

  private bulk(length: number, start: number): string | null | undefined {
    if (length < 0) {
      this.at = start;
      return null;
    }
    const end = start + length;
    if (this.bytes.length < end + CRLF.length) return undefined;
    this.at = end + CRLF.length;
    return this.bytes.toString('utf8', start, end);
  }
}
