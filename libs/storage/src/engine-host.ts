import { parentPort } from 'node:worker_threads';
import { assert, ByteReader, ByteWriter, DecodeError, decodeRows } from '@kahuna/base';
import type { BlockingEngine, BlockingReader } from './blocking-engine.ts';
import {
  AnswerStatus,
  type BatchAnswer,
  type BatchMessage,
  decodeKeys,
  decodeRange,
  decodeScan,
  EngineCall,
  encodePage,
  encodeValues,
  takeMessage,
} from './engine-protocol.ts';

/** Serves an engine to the node's thread: the main function of an engine's worker. `open` may throw. */
export function serveEngine(open: () => Promise<BlockingEngine>): void {
  assert(parentPort !== null, 'an engine runs as a worker thread');
  const port = parentPort;
  const opening = open();
  // A failure to open answers each request; nothing else may report it.
  opening.catch(() => undefined);
  let host: Promise<EngineHost> | undefined;
  port.on('message', (message: ArrayBuffer | BatchMessage) => {
    host ??= opening.then(engine => new EngineHost(engine));
    host.then(
      ready => {
        if (message instanceof ArrayBuffer) {
          const answer = ready.serve(message);
          port.postMessage(answer, [answer]);
          return;
        }
        const { memory, from, to } = message;
        const answer = ready.write(new Uint8Array(memory, from, to - from));
        const answered: BatchAnswer = { memory, answer };
        port.postMessage(answered, [memory, answer]);
      },
      ({ message: reason, code }: NodeJS.ErrnoException) => {
        // Ends the thread; the node's end fails everything that waits with this error. Of a library's own kind it would get there without its words.
        throw Object.assign(new Error(reason), code === undefined ? {} : { code });
      },
    );
  });
}

class EngineHost {
  private readonly engine: BlockingEngine;
  private readonly snapshots = new Map<number, BlockingReader>();
  private readonly out = new ByteWriter(256 * 1024);
  private readonly body = new ByteWriter(256 * 1024);

  constructor(engine: BlockingEngine) {
    this.engine = engine;
  }

  /** Runs the requests of one message in order. */
  serve(message: ArrayBuffer): ArrayBuffer {
    const input = new ByteReader(new Uint8Array(message));
    while (input.remaining > 0) {
      const call = input.u8();
      const length = input.u32();
      const request = new ByteReader(input.raw(length));
      this.answer(body => this.run(call, request, body));
    }
    return takeMessage(this.out);
  }

  write(rows: Uint8Array): ArrayBuffer {
    this.answer(() => this.engine.write(sink => decodeRows(rows, sink)));
    return takeMessage(this.out);
  }

  /** An answer is status, length, body; the body of a failure is its code and message. */
  private answer(run: (body: ByteWriter) => void): void {
    const { body } = this;
    let status: number = AnswerStatus.Done;
    try {
      run(body);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      status = AnswerStatus.Failed;
      body.clear(); // what was answered before it failed
      body.string(code ?? '');
      body.string(message);
    }
    this.out.u8(status);
    this.out.bytes(body.written());
    body.clear();
  }

  private run(call: number, input: ByteReader, result: ByteWriter): void {
    switch (call) {
      case EngineCall.GetMany:
        readKeys(this.engine, input, result);
        return;
      case EngineCall.DeleteRange:
        this.engine.deleteRange(decodeRange(input));
        return;
      case EngineCall.Scan:
        encodePage(result, this.engine.scan(decodeScan(input)));
        return;
      case EngineCall.Snapshot:
        this.snapshots.set(input.varint(), this.engine.snapshot());
        return;
      case EngineCall.SnapshotGetMany:
        readKeys(this.snapshot(input.varint()), input, result);
        return;
      case EngineCall.SnapshotScan:
        encodePage(result, this.snapshot(input.varint()).scan(decodeScan(input)));
        return;
      case EngineCall.SnapshotClose:
        this.closeSnapshot(input.varint());
        return;
      case EngineCall.Sync:
        this.engine.sync();
        return;
      case EngineCall.Close:
        for (const number of [...this.snapshots.keys()]) this.closeSnapshot(number);
        this.engine.close();
        return;
      default:
        throw new DecodeError(`unknown engine call ${call}`);
    }
  }

  private snapshot(number: number): BlockingReader {
    const snapshot = this.snapshots.get(number);
    if (snapshot === undefined) throw new Error('the engine snapshot is closed');
    return snapshot;
  }

  private closeSnapshot(number: number): void {
    this.snapshots.get(number)?.close();
    this.snapshots.delete(number);
  }
}

function readKeys(reader: BlockingReader, input: ByteReader, result: ByteWriter): void {
  encodeValues(
    result,
    decodeKeys(input).map(key => reader.get(key)),
  );
}
