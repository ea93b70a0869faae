import type { Worker } from 'node:worker_threads';
import { ByteReader, ByteWriter, type RowBatch } from '@kahuna/base';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '@kahuna/node';
import { DeferredQueue } from './deferred-queue.ts';
import {
  AnswerStatus,
  type BatchAnswer,
  type BatchMessage,
  decodePage,
  decodeValues,
  EngineCall,
  encodeKeys,
  encodeRange,
  encodeScan,
  takeMessage,
} from './engine-protocol.ts';
import { spawnWorker, type WorkerName } from './spawn-worker.ts';

type Answered = (error: Error | undefined, body: ByteReader) => void;
type Values = readonly (Uint8Array | undefined)[];

const NO_BODY = new ByteReader(new Uint8Array(0));
const EMPTY_PAGE: ScanPage = { rows: [], more: false };

/** The node's end of an engine's thread. What is asked for in one step of the event loop goes there, and comes back, in one message. */
export class EngineClient implements StateEngine {
  private readonly worker: Worker;
  private readonly out = new ByteWriter(256 * 1024);
  private readonly deferred = new DeferredQueue();
  private readonly waiting: Answered[] = [];
  /** Batches whose memory the thread has, in order. */
  private readonly written: RowBatch[] = [];
  private answered = 0;
  private postScheduled = false;
  private failure: Error | undefined;
  private closing = false;
  /** The thread is being ended, and `close` still has to be answered: the process must wait for that, too. */
  private ending = false;
  private snapshotsOpened = 0;

  constructor(worker: WorkerName, workerData: unknown) {
    this.worker = spawnWorker(worker, workerData);
    this.worker.on('message', (message: ArrayBuffer | BatchAnswer) => {
      if (message instanceof ArrayBuffer) this.receive(message);
      else this.receiveBatch(message);
    });
    this.worker.on('error', error => this.crash(error));
    this.worker.on('exit', code => this.crash(new Error(`the state engine's thread ended with code ${code}`)));
  }

  getMany(keys: readonly Uint8Array[], done: (error: Error | undefined, values: Values) => void): void {
    this.ask(
      EngineCall.GetMany,
      out => encodeKeys(out, keys),
      (error, body) => done(error, error === undefined ? decodeValues(body) : []),
    );
  }

  write(rows: RowBatch, done: (error: Error | undefined) => void): void {
    const { refusal } = this;
    if (refusal !== undefined) {
      this.refuseLater(done, refusal);
      return;
    }
    this.post(); // what was asked for before
    const taken = rows.take();
    const memory = taken.buffer;
    const message: BatchMessage = { memory, from: taken.byteOffset, to: taken.byteOffset + taken.length };
    this.waiting.push(error => done(error));
    this.written.push(rows);
    this.worker.ref();
    this.worker.postMessage(message, [memory]);
  }

  deleteRange(range: EngineRange, done: (error: Error | undefined) => void): void {
    this.ask(EngineCall.DeleteRange, out => encodeRange(out, range), done);
  }

  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void {
    this.ask(
      EngineCall.Scan,
      out => encodeScan(out, options),
      (error, body) => done(error, error === undefined ? decodePage(body) : EMPTY_PAGE),
    );
  }

  snapshot(done: (error: Error | undefined, snapshot: EngineSnapshot | undefined) => void): void {
    const number = ++this.snapshotsOpened;
    this.ask(
      EngineCall.Snapshot,
      out => out.varint(number),
      error => done(error, error === undefined ? new SnapshotClient(this, number) : undefined),
    );
  }

  sync(done: (error: Error | undefined) => void): void {
    this.ask(EngineCall.Sync, () => undefined, done);
  }

  close(done: (error: Error | undefined) => void): void {
    this.ask(
      EngineCall.Close,
      () => undefined,
      error => {
        this.ending = true;
        this.worker.terminate().then(
          () => this.deferred.push(() => done(error)),
          (failure: Error) => this.deferred.push(() => done(failure)),
        );
      },
    );
    this.closing = true;
  }

  /** Why nothing can be asked any more. */
  get refusal(): Error | undefined {
    return this.failure ?? (this.closing ? new Error('the state engine is closed') : undefined);
  }

  /** Answers later, with the refusal that holds now. */
  refuseLater(done: (error: Error) => void, refusal: Error): void {
    this.deferred.push(() => done(refusal));
  }

  ask(call: number, encode: (out: ByteWriter) => void, done: Answered): void {
    const { refusal, out } = this;
    if (refusal !== undefined) {
      this.refuseLater(error => done(error, NO_BODY), refusal);
      return;
    }
    out.u8(call);
    const length = out.placeholderU32();
    const start = out.length;
    encode(out);
    out.patchU32(length, out.length - start);
    this.waiting.push(done);
    if (this.postScheduled) return;
    this.postScheduled = true;
    queueMicrotask(() => {
      this.postScheduled = false;
      this.post();
    });
  }

  private post(): void {
    if (this.out.length === 0) return; // a batch took it along
    const message = takeMessage(this.out);
    this.worker.ref(); // a process that waits for an answer must not end meanwhile
    this.worker.postMessage(message, [message]);
  }

  private receiveBatch({ memory, answer }: BatchAnswer): void {
    this.written.shift()?.giveBack(memory);
    this.receive(answer);
  }

  private receive(message: ArrayBuffer): void {
    const input = new ByteReader(new Uint8Array(message));
    while (input.remaining > 0) {
      const status = input.u8();
      const body = new ByteReader(input.bytes());
      const done = this.waiting[this.answered++];
      if (status === AnswerStatus.Done) done?.(undefined, body);
      else done?.(decodeFailure(body), NO_BODY);
    }
    this.waiting.splice(0, this.answered);
    this.answered = 0;
    if (this.waiting.length === 0 && !this.ending) this.worker.unref();
  }

  private crash(error: Error): void {
    if (this.closing && this.waiting.length === 0) return;
    this.failure ??= error;
    const { failure } = this;
    const waiting = this.waiting.splice(0);
    for (const done of waiting) this.refuseLater(refused => done(refused, NO_BODY), failure);
  }
}

function decodeFailure(body: ByteReader): Error {
  const code = body.string();
  const error = new Error(body.string());
  return code === '' ? error : Object.assign(error, { code });
}

class SnapshotClient implements EngineSnapshot {
  private readonly client: EngineClient;
  private readonly number: number;
  private closed = false;

  constructor(client: EngineClient, number: number) {
    this.client = client;
    this.number = number;
  }

  getMany(keys: readonly Uint8Array[], done: (error: Error | undefined, values: Values) => void): void {
    this.ask(
      EngineCall.SnapshotGetMany,
      out => encodeKeys(out, keys),
      (error, body) => done(error, error === undefined ? decodeValues(body) : []),
    );
  }

  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void {
    this.ask(
      EngineCall.SnapshotScan,
      out => encodeScan(out, options),
      (error, body) => done(error, error === undefined ? decodePage(body) : EMPTY_PAGE),
    );
  }

  private ask(call: number, encode: (out: ByteWriter) => void, done: Answered): void {
    this.client.ask(
      call,
      out => {
        out.varint(this.number);
        encode(out);
      },
      done,
    );
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.client.refusal !== undefined) return; // the engine is gone, and its snapshots with it
    this.ask(EngineCall.SnapshotClose, () => undefined, ignoreAnswer);
  }
}

/** Closing a snapshot can only fail with the engine itself, and then every other call says so. */
function ignoreAnswer(): void {
  return;
}
