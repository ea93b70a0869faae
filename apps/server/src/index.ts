export { parseFlags } from './config/parse-flags.ts';
export { resolveSettings, type ServerSettings } from './config/settings.ts';
export { type EmbeddedNode, type EmbeddedNodeOptions, startEmbeddedNode } from './embedded.ts';
export { createLogger } from './runtime/logger.ts';
export { type RunningServer, startServer } from './server.ts';
