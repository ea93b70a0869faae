import type { ChildProcess } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ended, HANGS_MS, spawnOwned, until } from './processes.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** The build under test; KAHUNA_SERVER_ENTRY names another one. */
const ENTRY = process.env['KAHUNA_SERVER_ENTRY'] ?? join(ROOT, 'dist', 'server', 'main.mjs');

/** The built server's entry file, for tests that run it in their own way. */
export function serverEntry(): string {
  if (!existsSync(ENTRY)) throw new Error(`${ENTRY} is missing: run \`npm run build\``);
  return ENTRY;
}

/** Last output of a server that is kept for error messages; all of it is in its log file. */
const TAIL_BYTES = 16 * 1024;

export interface HealthAnswer {
  readonly ready: boolean;
  readonly initialized: boolean;
  readonly localRole: string;
  readonly hostedPartitions: number;
  readonly fatalFault: string | null;
}

export interface ServerOptions {
  readonly name: string;
  readonly args: readonly string[];
  /** Its logs go to `<directory>/<name>.log`. */
  readonly directory: string;
  readonly httpUrl: string;
  /** host:port of the gRPC listener. */
  readonly grpcAddress: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** One server: a process that can be started, asked, paused, killed and started again on the same directories. */
export class ServerProcess {
  readonly options: ServerOptions;
  private child: ChildProcess | undefined;
  private tail = '';
  private paused = false;

  constructor(options: ServerOptions) {
    this.options = options;
  }

  get pid(): number | undefined {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null
      ? this.child.pid
      : undefined;
  }

  get running(): boolean {
    return this.pid !== undefined;
  }

  get url(): string {
    return this.options.httpUrl;
  }

  /** What it printed last. */
  get output(): string {
    return this.tail;
  }

  get logFile(): string {
    return join(this.options.directory, `${this.options.name}.log`);
  }

  start(extraArgs: readonly string[] = []): void {
    if (this.running) throw new Error(`${this.options.name} runs already`);
    mkdirSync(this.options.directory, { recursive: true });
    const log = createWriteStream(this.logFile, { flags: 'a' });
    this.tail = '';
    this.paused = false;
    const child = spawnOwned(process.execPath, [serverEntry(), ...this.options.args, ...extraArgs], {
      cwd: this.options.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_ENV: 'production', ...this.options.env },
    });
    this.child = child;
    const keep = (chunk: Buffer): void => {
      log.write(chunk);
      this.tail = (this.tail + chunk.toString('utf8')).slice(-TAIL_BYTES);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('close', () => log.end());
  }

  /** Waits until the health answers 200. Fails at once, with the output, when the process ends instead. */
  async ready(deadlineMs = HANGS_MS): Promise<void> {
    await until(`${this.options.name} ready`, deadlineMs, async () => {
      if (!this.running) return 'ended';
      const answer = await fetch(`${this.url}/v1/cluster/health`, { signal: AbortSignal.timeout(HANGS_MS / 10) });
      await answer.arrayBuffer();
      return answer.status === 200;
    }).then(
      outcome => {
        if (outcome === 'ended') throw new Error(`${this.options.name} ended (${this.child?.exitCode}):\n${this.tail}`);
      },
      error => {
        throw new Error(`${String(error)}\n--- last output of ${this.options.name} ---\n${this.tail}`);
      },
    );
  }

  async health(): Promise<{ status: number; body: HealthAnswer }> {
    const answer = await fetch(`${this.url}/v1/cluster/health`, { signal: AbortSignal.timeout(HANGS_MS / 4) });
    return { status: answer.status, body: (await answer.json()) as HealthAnswer };
  }

  /** SIGKILL, and waits until the process is gone. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** The orderly way: SIGTERM, with a bound on how long it may take. */
  async stop(deadlineMs = HANGS_MS): Promise<number | null> {
    if (this.paused) this.resume();
    const child = this.child;
    if (!child || !this.running) return child?.exitCode ?? null;
    const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
    const { code } = await this.end('SIGTERM');
    clearTimeout(timer);
    return code;
  }

  async end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const child = this.child;
    if (!child) return { code: null, signal: null };
    if (this.running) child.kill(signal);
    return ended(child);
  }

  /** Waits for the process to end by itself. */
  exited(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    if (!this.child) throw new Error('never started');
    return ended(this.child);
  }

  pause(): void {
    this.child?.kill('SIGSTOP');
    this.paused = true;
  }

  /** Its wall clock jumps ahead by 300 ms, if it was started with a clock that can. */
  stepClock(): void {
    this.child?.kill('SIGUSR2');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
    this.paused = false;
  }
}
