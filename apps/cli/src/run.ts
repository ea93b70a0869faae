import type { Kahuna } from '@kahuna/client';
import { COMMANDS, isNodeCommand, type NodeCommandFlag, nodeCommand } from './commands/index.ts';
import { RestCalls } from './commands/rest-calls.ts';
import { type Failure, failureLine, failureOf, isConnectionFailure } from './failures.ts';
import type { Host } from './host.ts';
import { DEFAULT_ENDPOINTS, parseEndpoints, parseNode, verifiesCertificates } from './options/endpoints.ts';
import type { CommandFlag, Options } from './options/flags.ts';
import { commandsGiven, parseOptions } from './options/parse-options.ts';
import { toJson } from './output/json.ts';
import { Output } from './output/output.ts';
import { COLOURED, PLAIN, type Style } from './output/style.ts';
import { VERSION } from './version.ts';

const DEFAULT_TIMEOUT_S = 10;
/** These may take minutes, and end by themselves (cli §1). */
const PATIENT: ReadonlySet<CommandFlag> = new Set(['cluster-leave', 'split-range', 'merge-ranges']);

/** Exit codes (spec cli §2.1). */
const EXIT = { done: 0, failed: 1, interrupted: 130 } as const;

/** One run of `kahuna-cli`; resolves to its exit code. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  try {
    const options = parseOptions(argv);
    if (options.completion !== undefined) return await printCompletion(options.completion, host);
    if (options.help) return await printHelp(host);
    if (options.version) return await printed(host, `kahuna-cli ${VERSION}`);
    return await runOptions(options, host);
  } catch (error) {
    if (host.interrupted.aborted) return EXIT.interrupted;
    await report(failureOf(error), outputOf(host, {}), wantsJson(argv));
    return EXIT.failed;
  }
}

async function runOptions(given: Options, host: Host): Promise<number> {
  const { KAHUNA_CONNECTION_SOURCE } = host.env;
  const source = given['connection-source'] ?? KAHUNA_CONNECTION_SOURCE;
  const options: Options = source === undefined ? given : { ...given, 'connection-source': source };
  const endpoints = parseEndpoints(source ?? DEFAULT_ENDPOINTS);
  const named = options.node === undefined ? undefined : parseNode(options.node, endpoints);
  const timeoutMs = 1000 * (options['default-timeout'] ?? DEFAULT_TIMEOUT_S);
  const verify = verifiesCertificates(endpoints, options.insecure ?? false);
  const connect = (signal: AbortSignal): Promise<Kahuna> =>
    host.connect({ endpoints, timeoutMs, learnRoutes: false, tls: { verify } }, signal);
  const output = outputOf(host, options);
  const json = options.format === 'json';

  const [command, ...ignored] = commandsGiven(options);
  if (command === undefined) return runShell(options, host, output, connect);
  for (const other of ignored) output.remark(`Warning: --${other} is ignored, one command runs at a time: --${command}.`);
  try {
    if (!isNodeCommand(command)) return await runCommand(command, options, host, output, connect);
    const patient = PATIENT.has(command) && options['default-timeout'] === undefined;
    const settings = { endpoints, named, verify, signal: host.interrupted, timeoutMs: patient ? undefined : timeoutMs };
    const execute = nodeCommand(command)(options);
    return (await execute({ nodes: new RestCalls(settings), output, json })) ? EXIT.done : EXIT.failed;
  } catch (error) {
    if (host.interrupted.aborted) return EXIT.interrupted;
    const failure = failureOf(error);
    await report(failure, output, json);
    if (isConnectionFailure(failure) && source === undefined && !json) {
      output.remark(
        `Tried ${DEFAULT_ENDPOINTS.replaceAll(',', ', ')}, because there is no -c. A node started with npm start: -c http://localhost:2070`,
      );
    }
    return EXIT.failed;
  }
}

async function runCommand(
  command: Exclude<CommandFlag, NodeCommandFlag>,
  options: Options,
  host: Host,
  output: Output,
  connect: (signal: AbortSignal) => Promise<Kahuna>,
): Promise<number> {
  const execute = COMMANDS[command](options);
  const signal = host.interrupted;
  const client = await connect(signal);
  try {
    const call = { client, signal, output, json: options.format === 'json', input: () => bytesOf(host.stdin) };
    return (await execute(call)) ? EXIT.done : EXIT.failed;
  } finally {
    await client.close();
  }
}

async function runShell(
  options: Options,
  host: Host,
  output: Output,
  connect: (signal: AbortSignal) => Promise<Kahuna>,
): Promise<number> {
  if (options.format === 'json') output.remark('Warning: --format json is for single commands; the shell prints text.');
  const { runShellSession } = await import('./shell/shell.ts');
  return (await runShellSession({ host, output, connect })) ? EXIT.done : EXIT.failed;
}

function outputOf(host: Host, options: Options): Output {
  const { NO_COLOR = '', KAHUNA_FORCE_RICH = '' } = host.env;
  const forced = options['force-rich'] === true || /^(1|true|yes)$/i.test(KAHUNA_FORCE_RICH);
  const wanted = NO_COLOR === '' && !options['no-color'];
  const styleOf = (terminal: boolean): Style => (wanted && (terminal || forced) ? COLOURED : PLAIN);
  const { stdout, stderr, outputIsTerminal, errorsAreTerminal } = host;
  return new Output(
    stdout,
    { style: styleOf(outputIsTerminal), terminal: outputIsTerminal },
    { sink: stderr, style: styleOf(errorsAreTerminal), terminal: errorsAreTerminal },
  );
}

/** An error to the complaints; as JSON to the results, where a program reads it. */
async function report(failure: Failure, output: Output, json: boolean): Promise<void> {
  if (json) {
    await output.line(toJson({ error: failure.type, message: failure.message }));
    return;
  }
  output.complaint(failureLine(failure));
  if (failure.reason !== undefined) output.remark(failure.reason);
  if (failure.cure !== undefined) output.advice(failure.cure);
}

/** Whether the results are wanted as JSON, also by a command line that is otherwise wrong. */
function wantsJson(argv: readonly string[]): boolean {
  return argv.some((word, at) => word === '--format=json' || (word === '--format' && argv[at + 1] === 'json'));
}

async function printHelp(host: Host): Promise<number> {
  const { helpText } = await import('./options/help.ts');
  return printed(host, helpText());
}

async function printCompletion(shell: NonNullable<Options['completion']>, host: Host): Promise<number> {
  const { completionScript } = await import('./options/completion-scripts.ts');
  return printed(host, completionScript(shell));
}

async function printed(host: Host, text: string): Promise<number> {
  await outputOf(host, {}).line(text);
  return EXIT.done;
}

async function bytesOf(stream: NodeJS.ReadableStream): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
