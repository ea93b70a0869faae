import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger } from 'pino';

/** Names of spec operations §15 for pino's levels. */
const LEVEL_NAMES: Readonly<Record<string, string>> = {
  debug: 'Debug',
  info: 'Information',
  warn: 'Warning',
  error: 'Error',
  fatal: 'Critical',
};

export interface LogOptions {
  /** `KAHUNA_LOG_FORMAT`: 'json' or lines for people. */
  readonly format: string | undefined;
  /** `KAHUNA_LOG_LEVEL`: a name of the specification, any case. */
  readonly level: string | undefined;
  readonly write: (line: string) => void;
}

export function createLogger({ format, level, write }: LogOptions): Logger {
  const wanted = Object.entries(LEVEL_NAMES).find(([, name]) => name.toLowerCase() === level?.toLowerCase())?.[0];
  const stream: DestinationStream = {
    write: format?.toLowerCase() === 'json' ? write : line => write(consoleLine(JSON.parse(line) as LogRecord)),
  };
  return pino(
    {
      level: wanted ?? 'info',
      base: {},
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: label => ({ level: LEVEL_NAMES[label] ?? label }) },
    },
    stream,
  );
}

interface LogRecord {
  readonly time: string;
  readonly level: string;
  readonly component?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** `2026-11-21T12:00:00.000Z Information transport connected to node peer=b:9082` */
function consoleLine({ time, level, component, message, ...fields }: LogRecord): string {
  const parts = [time, level.padEnd(11), component ?? 'server', message ?? ''];
  for (const [name, value] of Object.entries(fields)) parts.push(`${name}=${fieldText(value)}`);
  return `${parts.join(' ')}\n`;
}

/** One line per event, whatever a value holds. */
function fieldText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  if (isLoggedError(value)) return JSON.stringify(value.stack ?? value.message);
  return JSON.stringify(value);
}

function isLoggedError(value: unknown): value is { readonly message: string; readonly stack?: string } {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string';
}

/** The first occurrence of a line at once, then at most one per 10 s with how many were left out (spec operations §15). */
export class RepeatLimiter {
  private readonly monotonicMs: () => number;
  private readonly recent = new Map<string, { lastMs: number; suppressed: number }>();

  constructor(monotonicMs: () => number) {
    this.monotonicMs = monotonicMs;
  }

  /** How many were left out since the last one if this one is to be written, else undefined. */
  admit(line: string): number | undefined {
    const now = this.monotonicMs();
    const known = this.recent.get(line);
    if (known !== undefined && now - known.lastMs < INTERVAL_MS) {
      known.suppressed++;
      return undefined;
    }
    if (known === undefined && this.recent.size >= MAX_LINES) this.recent.clear();
    this.recent.set(line, { lastMs: now, suppressed: 0 });
    return known?.suppressed ?? 0;
  }
}

const INTERVAL_MS = 10_000;
const MAX_LINES = 1000;

export interface ComponentLog {
  readonly info: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Repetitions of one message are limited. */
  readonly warn: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly error: (message: string, error: unknown) => void;
  readonly critical: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export function componentLog(logger: Logger, component: string, monotonicMs: () => number): ComponentLog {
  const child = logger.child({ component });
  const limiter = new RepeatLimiter(monotonicMs);
  const limited = (level: 'warn' | 'error', message: string, fields: Readonly<Record<string, unknown>>): void => {
    const suppressed = limiter.admit(message);
    if (suppressed !== undefined) child[level](suppressed === 0 ? fields : { ...fields, repeated: suppressed }, message);
  };
  return {
    info: (message, fields = {}) => child.info(fields, message),
    warn: (message, fields = {}) => limited('warn', message, fields),
    error: (message, error) =>
      limited('error', message, { error: error instanceof Error ? (error.stack ?? error.message) : error }),
    critical: (message, fields = {}) => child.fatal(fields, message),
  };
}
