import { createConnection, type Socket } from 'node:net';
import { encodeCommand, RespError, RespReader, type RespReply } from './resp.ts';

/** The answer; a RespError too when the connection is lost. */
type Replied = (reply: RespReply) => void;

/**
 * One pipelined connection: the commands of one turn of the event loop leave in one write, answers come in the same order.
 * As cheap as a client in JavaScript gets, so that the comparison does not measure a client library.
 */
export class RedisClient {
  private readonly socket: Socket;
  private readonly waiting: Replied[] = [];
  /** First of `waiting` that has no answer: shifting a long array for each answer would cost more than the answer. */
  private answered = 0;
  private unsent: Buffer[] = [];

  constructor(address: string) {
    const [host = '', port = ''] = address.split(':');
    this.socket = createConnection({ host, port: Number(port), noDelay: true });
    const reader = new RespReader(reply => this.take(reply));
    this.socket.on('data', chunk => reader.push(chunk));
    this.socket.on('error', error => this.lost(error.message));
    this.socket.on('close', () => this.lost('the connection is closed'));
  }

  /** `replied` is called once, never inside this call. */
  send(words: readonly (string | Buffer)[], replied: Replied): void {
    this.waiting.push(replied);
    this.unsent.push(encodeCommand(words));
    if (this.unsent.length === 1) setImmediate(this.flush);
  }

  private readonly flush = (): void => {
    if (this.socket.destroyed) this.lost('the connection is closed');
    else this.socket.write(Buffer.concat(this.unsent));
    this.unsent = [];
  };

  private take(reply: RespReply): void {
    const replied = this.waiting[this.answered++];
    if (this.answered === this.waiting.length) {
      this.waiting.length = 0;
      this.answered = 0;
    } else if (this.answered === COMPACT_AT) {
      this.waiting.splice(0, this.answered);
      this.answered = 0;
    }
    replied?.(reply);
  }

  private lost(reason: string): void {
    for (const replied of this.waiting.splice(0).slice(this.answered)) replied(new RespError(reason));
    this.answered = 0;
  }

  close(): void {
    this.socket.destroy();
  }
}

const COMPACT_AT = 1024;
