import type { ByteReader, ByteWriter, Hlc } from '@kahuna/base';

export function writeHlc(writer: ByteWriter, t: Hlc): void {
  writer.varint(t.n);
  writer.varint(t.l);
  writer.varint(t.c);
}

export function readHlc(reader: ByteReader): Hlc {
  const n = reader.varint();
  const l = reader.varint();
  return { n, l, c: reader.varint() };
}
