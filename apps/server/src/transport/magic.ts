/**
 * First bytes of every node-to-node stream, in both directions: a port that also serves clients tells the protocols apart by them.
 * No HTTP method and no HTTP/2 preface begins like this.
 */
export const PEER_MAGIC = Buffer.from('KHN1', 'latin1');

/** ALPN name of the node-to-node protocol on TLS ports. */
export const PEER_ALPN = 'kahuna-node/1';

/** Version of the framing below; the hello carries the version of what is inside. */
export const PEER_PROTOCOL_VERSION = 1;
