import type { Style } from './style.ts';

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text, and as `0x` with hexadecimal digits where they are not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
  }
}

/** How results are written: with which colours, and whether a terminal interprets what is written. */
export interface Rendering {
  readonly style: Style;
  readonly terminal: boolean;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that drive a terminal.
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/**
 * Text from the database as it may be shown. A terminal would obey the control characters in it: move the cursor, change its title,
 * answer as if somebody had typed. So there they are spelled out, but for line breaks and tabs; a pipe gets them as they are.
 */
export function shown(text: string, { terminal }: Rendering): string {
  if (!terminal) return text;
  return text.replace(CONTROL, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** A value in a result line: `absent` stands for null. */
export function shownValue(value: Uint8Array | null, rendering: Rendering, absent = '(null)'): string {
  if (value === null) return absent;
  return value.length === 0 ? '(empty str)' : shown(textOf(value), rendering);
}
