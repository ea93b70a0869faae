/**
 * Cross-origin rule (spec console §14): a request that changes something, or opens the socket, and carries an `Origin` must come
 * from this node's own pages or from a listed origin. Without it any web page an operator opens could post to an open node.
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  tls: boolean,
  allowed: readonly string[],
): boolean {
  if (origin === undefined) return true;
  const own = `${tls ? 'https' : 'http'}://${host ?? ''}`;
  return origin.toLowerCase() === own.toLowerCase() || allowed.some(entry => entry.toLowerCase() === origin.toLowerCase());
}
