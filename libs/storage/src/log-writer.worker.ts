import { writeSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { assert } from '@kahuna/base';
import { Control, type GrownBuffer, type LogFaults, type LogWriterAnswer, WriterState } from './log-writer-protocol.ts';
import { sealWrite } from './segment-format.ts';

export interface LogWriterData {
  readonly control: SharedArrayBuffer;
  readonly buffer: SharedArrayBuffer;
  readonly faults: LogFaults;
}

/**
 * The thread that writes the log. Files are opened by the node's thread with O_DSYNC, so one call makes a write durable; a descriptor
 * belongs to the whole process. It waits in `Atomics.wait` and never runs an event loop: nothing can queue in front of a write.
 */
assert(parentPort !== null, 'log-writer runs as a worker thread');
const port = parentPort;
const { control: controlMemory, buffer: firstBuffer, faults } = workerData as LogWriterData;
const control = new Int32Array(controlMemory);
let memory = new Uint8Array(firstBuffer);
let view = new DataView(firstBuffer);
let bufferNumber = 0;
let writes = 0;

for (;;) {
  Atomics.wait(control, Control.State, WriterState.Idle);
  const answer = write();
  Atomics.store(control, Control.State, WriterState.Idle);
  port.postMessage(answer);
}

function write(): LogWriterAnswer {
  try {
    takeGrownBuffer();
    misbehave();
    const fd = control[Control.Fd] as number;
    const bytes = control[Control.Bytes] as number;
    const position = control[Control.Position] as number;
    sealWrite(memory, view);
    for (let written = 0; written < bytes; ) {
      // A short write is no error yet: the call for the rest says what is wrong, or goes through.
      written += writeSync(fd, memory, written, bytes - written, position + written);
    }
    return undefined;
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    return { code, message };
  }
}

function takeGrownBuffer(): void {
  if (control[Control.Buffer] === bufferNumber) return;
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: GrownBuffer } | undefined;
    if (received === undefined) break;
    memory = new Uint8Array(received.message.buffer);
    view = new DataView(received.message.buffer);
  }
  bufferNumber = control[Control.Buffer] as number;
}

function misbehave(): void {
  if (faults.writeDelayMs !== undefined) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, faults.writeDelayMs);
  }
  if (faults.failAfterWrites !== undefined && writes++ >= faults.failAfterWrites) {
    const code = faults.failCode ?? 'EIO';
    throw Object.assign(new Error(`${code}: fault ordered by a test, write`), { code });
  }
}
