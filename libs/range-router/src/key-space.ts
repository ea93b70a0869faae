/**
 * What a key's text says about where it lives (routing §1).
 *
 *     key     tenant-7|orders/2024/0001
 *     space   tenant-7|orders/2024          before the last '/'
 *     group   tenant-7                      before the first '|' of the space; hashed
 *     leaf    /0001                         the rest, with its '/', so that `fleet` and `fleet/` (both of space `fleet`) differ
 */

/** Cuts a key into key space and leaf; at the last one. */
export const SPACE_SEPARATOR = '/';
/** Ends the placement group inside a key space; the first one counts. */
export const GROUP_SEPARATOR = '|';
/** Keys of the server's own; refused in public key/value operations. */
export const RESERVED_PREFIX = '__kahuna:';
const SEQUENCE_PREFIX = '__kahuna:sequences:';

export function keySpaceOf(key: string): string {
  const cut = key.lastIndexOf(SPACE_SEPARATOR);
  return cut < 0 ? key : key.slice(0, cut);
}

/** Where the leaf begins, with its '/': behind the key space, so at the end of a key that is its own key space. */
export function leafStart(key: string): number {
  const cut = key.lastIndexOf(SPACE_SEPARATOR);
  return cut < 0 ? key.length : cut;
}

export function placementGroupOf(keySpace: string): string {
  const cut = keySpace.indexOf(GROUP_SEPARATOR);
  return cut < 0 ? keySpace : keySpace.slice(0, cut);
}

/** The key space a bucket, range or prefix-lock prefix names: one trailing '/' is dropped (`fleet/` is `fleet`). */
export function keySpaceOfPrefix(prefix: string): string {
  return prefix.endsWith(SPACE_SEPARATOR) ? prefix.slice(0, -1) : prefix;
}

export function sequenceStorageKey(name: string): string {
  return SEQUENCE_PREFIX + name;
}

export function isReservedKey(key: string): boolean {
  return key.startsWith(RESERVED_PREFIX);
}

/** UTF-16 code-unit order, the order of every result, bound and stored key (keyvalues §3). */
export function compareOrdinal(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** No lone surrogate: the text survives a journey through UTF-8. One pass without a regular expression, because keys are short and many. */
export function isWellFormed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    if (unit > 0xdbff) return false;
    const next = text.charCodeAt(i + 1);
    if (!(next >= 0xdc00 && next <= 0xdfff)) return false;
    i++;
  }
  return true;
}
