/** The peer sends what our framing does not allow; its stream is closed. */
export class FramingError extends Error {
  override name = 'FramingError';
}

const HEADER_BYTES = 4;

/**
 * Cuts a byte stream into frames: a 4-byte big-endian length, then so many bytes. Frames are views into what arrived where possible.
 * Memory is bounded by `maxFrameBytes` plus one read, because a longer announcement is refused before its bytes are kept.
 */
export class FrameReader {
  private readonly onFrame: (frame: Buffer) => void;
  private maxFrameBytes: number;
  private chunks: Buffer[] = [];
  private buffered = 0;
  /** Bytes needed before the next step can be taken. */
  private wanted = HEADER_BYTES;

  constructor(maxFrameBytes: number, onFrame: (frame: Buffer) => void) {
    this.maxFrameBytes = maxFrameBytes;
    this.onFrame = onFrame;
  }

  /** Bytes held of a frame that is not complete. */
  get bufferedBytes(): number {
    return this.buffered;
  }

  setMaxFrameBytes(bytes: number): void {
    this.maxFrameBytes = bytes;
  }

  /** Throws {@link FramingError} for an oversized frame. `onFrame` may close the stream; what follows is then cut all the same. */
  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.buffered += chunk.length;
    if (this.buffered < this.wanted) return;

    let bytes = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks, this.buffered);
    this.chunks = [];
    for (;;) {
      if (bytes.length < HEADER_BYTES) {
        this.wanted = HEADER_BYTES;
        break;
      }
      const length = bytes.readUInt32BE(0);
      if (length > this.maxFrameBytes) throw new FramingError(`frame of ${length} bytes, at most ${this.maxFrameBytes} allowed`);
      this.wanted = HEADER_BYTES + length;
      if (bytes.length < this.wanted) break;
      const frame = bytes.subarray(HEADER_BYTES, this.wanted);
      bytes = bytes.subarray(this.wanted);
      this.onFrame(frame);
    }
    this.buffered = bytes.length;
    if (bytes.length > 0) this.chunks.push(bytes);
  }
}

export function frameHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  return header;
}
