export type ValueForm = 'null' | 'empty' | 'json' | 'number' | 'text' | 'binary';
export type Viewer = 'json' | 'text' | 'hex' | 'base64';

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), char => char.charCodeAt(0));
}

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The bytes as text; undefined where they are not valid UTF-8, which is never shown as text (console §6.6). */
export function asText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const NUMBER = /^-?\d+(\.\d+)?$/;
/** Control characters other than tab, line feed and carriage return belong to no text. */
const CONTROL = /[^\P{Cc}\t\n\r]/u;

export function formOf(bytes: Uint8Array | null): ValueForm {
  if (bytes === null) return 'null';
  if (bytes.length === 0) return 'empty';
  const text = asText(bytes);
  if (text === undefined || CONTROL.test(text)) return 'binary';
  if (NUMBER.test(text)) return 'number';
  return isJson(text) ? 'json' : 'text';
}

function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The viewers that can show this value, best first. */
export function viewersFor(form: ValueForm): readonly Viewer[] {
  switch (form) {
    case 'json':
      return ['json', 'text', 'hex', 'base64'];
    case 'text':
    case 'number':
      return ['text', 'hex', 'base64'];
    case 'binary':
      return ['hex', 'base64'];
    default:
      return [];
  }
}

/**
 * JSON with line breaks and indents, and every token as it was written: parsing and printing it again would round the numbers that do
 * not fit a double.
 */
export function prettyJson(text: string): string {
  let out = '';
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    if (token === '{' || token === '[') {
      depth++;
      out += next === '}' || next === ']' ? token : token + line();
    } else if (token === '}' || token === ']') {
      depth--;
      const before = tokens[i - 1];
      out += before === '{' || before === '[' ? token : line() + token;
    } else if (token === ',') out += token + line();
    else out += token === ':' ? ': ' : token;
  });
  return out;
}

/** As many as fit beside their characters into the panel of a key. */
const HEX_COLUMNS = 8;

/** `00000010  6a 6f 62 73 …  jobs` */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_COLUMNS) {
    const row = bytes.subarray(at, at + HEX_COLUMNS);
    const hex = [...row].map(byte => byte.toString(16).padStart(2, '0'));
    const codes = hex.join(' ').padEnd(3 * HEX_COLUMNS - 1);
    const chars = [...row].map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${codes}  ${chars}`);
  }
  return lines.join('\n');
}

/** The value in one viewer's form. */
export function shownAs(bytes: Uint8Array, viewer: Viewer): string {
  switch (viewer) {
    case 'json':
      return prettyJson(asText(bytes) ?? '');
    case 'text':
      return asText(bytes) ?? '';
    case 'hex':
      return hexDump(bytes);
    case 'base64':
      return toBase64(bytes);
  }
}

/** Lines in which two values are compared: readable where both are. */
export function comparable(bytes: Uint8Array | null, other: Uint8Array | null): readonly string[] {
  if (bytes === null) return ['(null)'];
  if (bytes.length === 0) return [];
  const forms = [formOf(bytes), formOf(other)];
  const viewer = forms.includes('binary') ? 'hex' : forms[0] === 'json' ? 'json' : 'text';
  return shownAs(bytes, viewer).split('\n');
}
