import { constants } from 'node:os';
import { helpText } from './config/help.ts';
import { FlagError, type ParseResult, parseFlags } from './config/parse-flags.ts';
import { resolveSettings, type ServerSettings } from './config/settings.ts';
import { ListenError } from './listeners/port-listeners.ts';
import { bannerText } from './runtime/banner.ts';
import { relaxCollector } from './runtime/collector.ts';
import { createLogger, type Logger } from './runtime/logger.ts';
import { StorageError } from './runtime/open-storage.ts';
import { VERSION } from './runtime/version.ts';
import { type RunningServer, startServer } from './server.ts';

/** How long a node that gave up goes on answering health before the process ends (spec operations §16). */
const FAULT_LINGER_MS = 10_000;
/** The whole way down takes no longer than this. */
const SHUTDOWN_LIMIT_MS = 30_000;

const write = (text: string): void => {
  process.stdout.write(text);
};

async function main(argv: readonly string[]): Promise<void> {
  const settings = configure(argv);
  if (settings === undefined) return;
  relaxCollector();
  const { KAHUNA_LOG_FORMAT: format, KAHUNA_LOG_LEVEL: level } = process.env;
  const logger = createLogger({ format, level, write });
  if (format?.toLowerCase() !== 'json') write(bannerText());

  const signals = catchSignals(logger);
  let server: RunningServer;
  try {
    server = await startServer(settings, logger);
  } catch (error) {
    if (error instanceof FlagError || error instanceof ListenError || error instanceof StorageError) return refuse(error.message);
    logger.fatal({ component: 'server' }, `cannot start: ${error instanceof Error ? error.message : String(error)}`);
    return refuse(`cannot start: ${error instanceof Error ? error.message : String(error)}`);
  }
  const outcome = await Promise.race([signals.first, server.failed.then(reason => ({ reason }))]);
  if (typeof outcome === 'object') {
    logger.fatal({ component: 'server', reason: outcome.reason }, 'The node gave up');
    setTimeout(() => process.exit(1), FAULT_LINGER_MS);
    await signals.first;
    process.exit(1);
  }
  setTimeout(() => process.exit(1), SHUTDOWN_LIMIT_MS).unref();
  logger.info({ component: 'server', signal: outcome }, 'Stopping');
  await server.stop();
  logger.info({ component: 'server' }, 'Stopped');
  process.exit(0);
}

/** Settings of this process; undefined when there is nothing to run. A wrong command line ends the process with nothing started. */
function configure(argv: readonly string[]): ServerSettings | undefined {
  try {
    const parsed: ParseResult = parseFlags(argv, process.env);
    if (parsed.kind === 'help') write(helpText());
    else if (parsed.kind === 'version') write(`${VERSION}\n`);
    else return resolveSettings(parsed.flags, process.env);
    return undefined;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    return refuse(error.message);
  }
}

function refuse(message: string): never {
  process.stderr.write(`kahuna-server: ${message}\n`);
  process.exit(1);
}

type StopSignal = 'SIGTERM' | 'SIGINT';

/** The first signal asks for an orderly end, a second one ends the process at once. */
function catchSignals(logger: Logger): { readonly first: Promise<StopSignal> } {
  let seen = false;
  return {
    first: new Promise(resolve => {
      const onSignal = (signal: StopSignal): void => {
        if (seen) process.exit(128 + constants.signals[signal]);
        seen = true;
        resolve(signal);
      };
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
      process.on('SIGHUP', () => logger.info({ component: 'server' }, 'SIGHUP ignored: nothing is reloaded'));
    }),
  };
}

await main(process.argv.slice(2));
