import type { Worker } from 'node:worker_threads';
import { assert } from '@kahuna/base';
import type { LogWriterData } from './log-writer.worker.ts';
import {
  CONTROL_SLOTS,
  Control,
  type GrownBuffer,
  type LogFaults,
  type LogWriterAnswer,
  WriterState,
} from './log-writer-protocol.ts';
import { encodeWriteHeader, roundUpToPage, type SegmentIdentity, WRITE_HEADER_BYTES } from './segment-format.ts';
import { spawnWorker } from './spawn-worker.ts';

const INITIAL_BUFFER_BYTES = 1024 * 1024;

/** One write, as it goes to its place on disk. */
export interface LogWrite {
  readonly fd: number;
  readonly position: number;
  readonly segment: SegmentIdentity;
  readonly writeNumber: number;
  readonly payload: Uint8Array;
}

/** The node's end of the writing thread. One write at a time; an error is final, and a crash of the thread is one. */
export class LogWriter {
  private readonly worker: Worker;
  private readonly control: Int32Array;
  private memory: Uint8Array;
  private view: DataView;
  private done: ((error: Error | undefined) => void) | undefined;
  private failure: Error | undefined;
  private closing = false;

  constructor(faults: LogFaults) {
    const control = new SharedArrayBuffer(CONTROL_SLOTS * Int32Array.BYTES_PER_ELEMENT);
    const buffer = new SharedArrayBuffer(INITIAL_BUFFER_BYTES);
    this.control = new Int32Array(control);
    this.memory = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    const data: LogWriterData = { control, buffer, faults };
    this.worker = spawnWorker('log-writer', data);
    this.worker.on('message', (answer: LogWriterAnswer) => this.finish(answer));
    this.worker.on('error', error => this.crash(error));
    this.worker.on('exit', code => this.crash(new Error(`the log's writing thread ended with code ${code}`)));
  }

  get busy(): boolean {
    return this.done !== undefined;
  }

  write({ fd, position, segment, writeNumber, payload }: LogWrite, done: (error: Error | undefined) => void): void {
    assert(this.done === undefined, 'one log write at a time');
    if (this.failure !== undefined) {
      const failure = this.failure;
      setImmediate(() => done(failure));
      return;
    }
    const used = WRITE_HEADER_BYTES + payload.length;
    const bytes = roundUpToPage(used);
    if (bytes > this.memory.length) this.grow(bytes);
    encodeWriteHeader(this.view, segment, writeNumber, payload.length);
    this.memory.set(payload, WRITE_HEADER_BYTES);
    this.memory.fill(0, used, bytes);
    this.control[Control.Fd] = fd;
    this.control[Control.Bytes] = bytes;
    this.control[Control.Position] = position;
    this.done = done;
    this.worker.ref(); // a process that waits for its log must not end meanwhile
    Atomics.store(this.control, Control.State, WriterState.Write);
    Atomics.notify(this.control, Control.State);
  }

  private grow(bytes: number): void {
    const buffer = new SharedArrayBuffer(bytes * 2);
    this.memory = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    const grown: GrownBuffer = { buffer };
    this.worker.postMessage(grown);
    this.control[Control.Buffer] = (this.control[Control.Buffer] as number) + 1;
  }

  private finish(answer: LogWriterAnswer): void {
    if (answer !== undefined) this.failure = Object.assign(new Error(answer.message), { code: answer.code });
    this.settle(this.failure);
  }

  private crash(error: Error): void {
    if (this.closing) return;
    this.failure ??= error;
    this.settle(this.failure);
  }

  private settle(error: Error | undefined): void {
    const done = this.done;
    this.done = undefined;
    this.worker.unref();
    done?.(error);
  }

  /** Ends the thread. Only between writes. */
  close(done: () => void): void {
    assert(this.done === undefined, 'a log write is under way');
    this.closing = true;
    this.failure ??= new Error('the log is closed');
    this.worker.ref();
    this.worker.terminate().then(done, done);
  }
}
