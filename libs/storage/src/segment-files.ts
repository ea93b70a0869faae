import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodeSegmentHeader, type SegmentIdentity } from './segment-format.ts';

// Descriptors rather than FileHandles: the writing thread uses them by number.
const open = promisify(fs.open);
const close = promisify(fs.close);
const fsync = promisify(fs.fsync);
const fdatasync = promisify(fs.fdatasync);
const write = promisify(fs.write);

/** Zeros are written in steps, each made durable, so that filling a segment never floods the disk that a log write waits for. */
const FILL_STEP_BYTES = 2 * 1024 * 1024;
const WASM_PAGE_BYTES = 64 * 1024;
/** The types of Node.js leave it out. */
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer } };
};
/** A segment being made or remade. It gets its name when it is complete, so a half-made one is never taken for part of the log. */
const PREPARING = 'preparing.tmp';
const SEGMENT_NAME = /^segment-(\d{16})\.log$/;

export interface SegmentFile {
  readonly sequence: number;
  readonly path: string;
}

export function segmentPath(directory: string, sequence: number): string {
  return join(directory, `segment-${String(sequence).padStart(16, '0')}.log`);
}

/** The segments of a log directory, oldest first. What a crash left half-made is removed. */
export async function listSegments(directory: string): Promise<SegmentFile[]> {
  await fs.promises.mkdir(directory, { recursive: true });
  await fs.promises.rm(join(directory, PREPARING), { force: true });
  const segments: SegmentFile[] = [];
  for (const name of await fs.promises.readdir(directory)) {
    const match = SEGMENT_NAME.exec(name);
    if (match !== null) segments.push({ sequence: Number(match[1]), path: join(directory, name) });
  }
  return segments.sort((a, b) => a.sequence - b.sequence);
}

/** Makes a new segment, filled with zeros (an allocated but unwritten file would cost a journal commit at every write). Opens it for writing. */
export async function createSegment(directory: string, identity: SegmentIdentity, bytes: number, sync: boolean): Promise<number> {
  await fill(join(directory, PREPARING), bytes, sync);
  return complete(directory, identity, bytes, sync);
}

/**
 * Past the system's page cache, where the file system can: nobody reads these pages, and to take them up and write them back costs more processor
 * time than all the rest (measured in decision 0201).
 */
async function fill(path: string, bytes: number, sync: boolean): Promise<void> {
  if (await fillDirectly(path, bytes, sync)) return;
  await writeZeros(path, 'w', new Uint8Array(Math.min(FILL_STEP_BYTES, bytes)), bytes, sync);
}

/** False where the system, the file system or the size does not allow it: the caller begins anew. */
async function fillDirectly(path: string, bytes: number, sync: boolean): Promise<boolean> {
  const direct: number | undefined = fs.constants.O_DIRECT;
  const zeros = direct === undefined ? undefined : alignedZeros(Math.min(FILL_STEP_BYTES, bytes));
  if (direct === undefined || zeros === undefined) return false;
  try {
    await writeZeros(path, fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_WRONLY | direct, zeros, bytes, sync);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  }
}

/** Direct writes come from memory that begins on a page, which that of WebAssembly does. It is never touched, so it takes none. */
function alignedZeros(bytes: number): Uint8Array | undefined {
  try {
    return new Uint8Array(new wasm.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) }).buffer, 0, bytes);
  } catch {
    return undefined; // it reserves addresses, which a limit may forbid
  }
}

async function writeZeros(path: string, flags: number | string, zeros: Uint8Array, bytes: number, sync: boolean): Promise<void> {
  const fd = await open(path, flags);
  try {
    for (let at = 0; at < bytes; at += zeros.length) {
      await writeAll(fd, zeros.subarray(0, Math.min(zeros.length, bytes - at)), at);
      if (sync) await fdatasync(fd);
    }
  } catch (error) {
    // A full disk has room for other things again: the log itself may not need this segment for long.
    await fs.promises.rm(path, { force: true });
    throw error;
  } finally {
    await close(fd);
  }
}

/** Begins to make a segment out of one that nothing needs any more: from here on that is no part of the log. Goes on with {@link reuseSegment}. */
export function giveUpSegment(directory: string, path: string): Promise<void> {
  return fs.promises.rename(path, join(directory, PREPARING));
}

/** Makes a segment out of the one that was given up last: its blocks are allocated and written already. */
export async function reuseSegment(directory: string, identity: SegmentIdentity, bytes: number, sync: boolean): Promise<number> {
  // Before its header changes the file must have lost its old name for good, or a crash leaves a segment that contradicts its name.
  if (sync) await syncDirectory(directory);
  return complete(directory, identity, bytes, sync);
}

async function complete(directory: string, identity: SegmentIdentity, bytes: number, sync: boolean): Promise<number> {
  const preparing = join(directory, PREPARING);
  const fd = await open(preparing, 'r+');
  try {
    await writeAll(fd, encodeSegmentHeader(identity, bytes), 0);
    if (sync) await fsync(fd);
  } finally {
    await close(fd);
  }
  const path = segmentPath(directory, identity.sequence);
  await fs.promises.rename(preparing, path);
  if (sync) await syncDirectory(directory);
  return openSegment(path, sync);
}

async function writeAll(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await write(fd, bytes, at, bytes.length - at, position + at)).bytesWritten;
}

/** For the writing thread: with `sync`, one write call is durable when it returns. */
export function openSegment(path: string, sync: boolean): Promise<number> {
  return open(path, fs.constants.O_WRONLY | (sync ? synchronousFlag() : 0));
}

/** For recovery, before the writing thread has the segment: durable once it resolves, if `fd` was opened to be synchronous. */
export const writeDurably: (fd: number, bytes: Uint8Array, position: number) => Promise<void> = writeAll;

function synchronousFlag(): number {
  const flag: number | undefined = fs.constants.O_DSYNC;
  if (flag === undefined) throw new Error('this platform has no O_DSYNC, which the log needs to be durable');
  return flag;
}

export const closeSegment: (fd: number) => Promise<void> = close;

export async function removeSegment(directory: string, path: string, sync: boolean): Promise<void> {
  await fs.promises.unlink(path);
  // Segments must go in order: a younger one may only vanish once this one has, or recovery sees a hole.
  if (sync) await syncDirectory(directory);
}

export async function syncDirectory(directory: string): Promise<void> {
  const fd = await open(directory, 'r');
  try {
    await fsync(fd);
  } finally {
    await close(fd);
  }
}
