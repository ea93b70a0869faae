import { ByteReader, type ByteWriter, DecodeError, HLC_ZERO, type Hlc } from '@kahuna/base';
import type { VersionTimes } from '@kahuna/txn';
import { readHlc, writeHlc } from './hlc-codec.ts';

/**
 * One successful set of a key. The newest one is the record's head; delete and extend change its times, never its identity.
 * Commits grow with revisions; a tombstone is later than its version and earlier than the next (keyvalues §5.1).
 */
export class Version implements VersionTimes {
  readonly revision: number;
  /** Null and zero bytes differ. A superseded version that is not archived keeps no value. */
  value: Uint8Array | null;
  /** The value is a copy of its own, not a view of the message that brought it. */
  owned = false;
  readonly commit: Hlc;
  expires: Hlc;
  lastModified: Hlc;
  deletedAt: Hlc = HLC_ZERO;
  readonly archived: boolean;
  /** The version this one superseded, while memory still holds it: until it is flushed, or for good in an ephemeral record. */
  older: Version | undefined;

  constructor(
    revision: number,
    value: Uint8Array | null,
    commit: Hlc,
    expires: Hlc,
    archived: boolean,
    older: Version | undefined,
  ) {
    this.revision = revision;
    this.value = value;
    this.commit = commit;
    this.lastModified = commit;
    this.expires = expires;
    this.archived = archived;
    this.older = older;
  }
}

/** Row format of heads and history. */
const FORMAT = 1;
const ARCHIVED = 1;
const NULL_VALUE = 2;
const HAS_EXPIRY = 4;
const DELETED = 8;
const MODIFIED = 16;
const HAS_END = 32;

/** The head row of a key: format u8, shape u8, revision, commit, what the shape announces, then the value to the end. */
export function writeHead(writer: ByteWriter, version: Version): void {
  writeVersion(writer, version, undefined);
}

/**
 * A superseded version, or the marker of one that was not archived (shape without ARCHIVED: no value). `end`: commit of the version
 * that superseded it, so that pruning can tell from this row alone since when it is not current.
 */
export function writePast(writer: ByteWriter, version: Version, end: Hlc): void {
  writeVersion(writer, version, end);
}

function writeVersion(writer: ByteWriter, version: Version, end: Hlc | undefined): void {
  const modified = version.lastModified !== version.commit;
  writer.u8(FORMAT);
  writer.u8(
    (version.archived ? ARCHIVED : 0) |
      (version.value === null ? NULL_VALUE : 0) |
      (version.expires.l === 0 ? 0 : HAS_EXPIRY) |
      (version.deletedAt.l === 0 ? 0 : DELETED) |
      (modified ? MODIFIED : 0) |
      (end === undefined ? 0 : HAS_END),
  );
  writer.varint(version.revision);
  writeHlc(writer, version.commit);
  if (version.expires.l !== 0) writeHlc(writer, version.expires);
  if (version.deletedAt.l !== 0) writeHlc(writer, version.deletedAt);
  if (modified) writeHlc(writer, version.lastModified);
  if (end !== undefined) writeHlc(writer, end);
  if (version.value !== null) writer.raw(version.value);
}

/** Reads a row of either family; the value is a view into `row`. Throws {@link DecodeError}. */
export function decodeVersion(row: Uint8Array): Version {
  const reader = new ByteReader(row);
  const format = reader.u8();
  if (format !== FORMAT) throw new DecodeError(`row format ${format} is newer than this release`);
  const shape = reader.u8();
  const revision = reader.varint();
  const commit = readHlc(reader);
  const expires = (shape & HAS_EXPIRY) !== 0 ? readHlc(reader) : HLC_ZERO;
  const deletedAt = (shape & DELETED) !== 0 ? readHlc(reader) : HLC_ZERO;
  const lastModified = (shape & MODIFIED) !== 0 ? readHlc(reader) : commit;
  if ((shape & HAS_END) !== 0) readHlc(reader);
  const value = (shape & NULL_VALUE) !== 0 ? null : reader.raw(reader.remaining);
  const version = new Version(revision, value, commit, expires, (shape & ARCHIVED) !== 0, undefined);
  version.deletedAt = deletedAt;
  version.lastModified = lastModified;
  return version;
}

/** What pruning asks of a history row: since when its version is not the newest, and whether it counts as archived. */
export function decodePast(row: Uint8Array): { readonly archived: boolean; readonly end: Hlc } {
  const reader = new ByteReader(row);
  const format = reader.u8();
  if (format !== FORMAT) throw new DecodeError(`row format ${format} is newer than this release`);
  const shape = reader.u8();
  reader.varint();
  readHlc(reader);
  if ((shape & HAS_EXPIRY) !== 0) readHlc(reader);
  if ((shape & DELETED) !== 0) readHlc(reader);
  if ((shape & MODIFIED) !== 0) readHlc(reader);
  if ((shape & HAS_END) === 0) throw new DecodeError('a history row says when it was superseded');
  return { archived: (shape & ARCHIVED) !== 0, end: readHlc(reader) };
}
