/**
 * Names in addresses (console §10): as they are, so that `/keys/orders/2026/0007` reads well, and as `~b64.…` where a browser or the
 * router would change them: empty and dot segments, a slash at either end, percent signs, control characters, lone surrogates.
 */
const MARK = '~b64.';
const UNSAFE = /[%?#\\\p{Cc}\p{Surrogate}]|^\/|\/$|\/\/|(^|\/)\.{1,2}(\/|$)|^~b64\./u;

export function subjectToPath(name: string): string {
  return name === '' || UNSAFE.test(name) ? MARK + encode(name) : name;
}

export function pathToSubject(path: string | undefined): string | undefined {
  if (path === undefined || path === '') return undefined;
  return path.startsWith(MARK) ? decode(path.slice(MARK.length)) : path;
}

/** UTF-16 code units, because a key may hold what is not valid Unicode. */
function encode(name: string): string {
  let bytes = '';
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    bytes += String.fromCharCode(unit >> 8, unit & 0xff);
  }
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function decode(text: string): string | undefined {
  try {
    const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    let name = '';
    for (let i = 0; i + 1 < bytes.length; i += 2)
      name += String.fromCharCode((bytes.charCodeAt(i) << 8) | bytes.charCodeAt(i + 1));
    return name;
  } catch {
    return undefined; // a link that somebody cut short names nothing
  }
}

/** Key space of a key: the text before its last slash; a key without one is its own. */
export function keySpaceOf(key: string): string {
  const slash = key.lastIndexOf('/');
  return slash < 0 ? key : key.slice(0, slash);
}
