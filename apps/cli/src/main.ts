import { connect } from './connect.ts';
import type { TextSink } from './output/output.ts';
import { run } from './run.ts';
import type { Terminal } from './shell/terminal.ts';

const INTERRUPTED = 130;

/** A reader that has seen enough (`| head`) closes the pipe: nobody is left to tell. */
function quietWhenUnread(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise(resolve => stream.write('', () => resolve()));
}

function terminal(): Terminal {
  const { stdin, stdout } = process;
  return {
    input: stdin,
    output: stdout,
    setRawMode: raw => {
      if (stdin.isTTY) stdin.setRawMode(raw);
    },
    // Some terminals say 0 until they have a size.
    columns: () => stdout.columns || 80,
    onResize: listener => {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
  };
}

// Warnings about the code of packages are none of the user's business.
process.noDeprecation = true;
quietWhenUnread(process.stdout);
quietWhenUnread(process.stderr);
/** What went wrong is said behind what was printed before, also where a full pipe holds that back. */
const behindResults: TextSink = {
  write: text => process.stdout.write('', () => process.stderr.write(text)),
  once: (event, listener) => process.stdout.once(event, listener),
  off: (event, listener) => process.stdout.off(event, listener),
};
const interruption = new AbortController();
// Told to end it gives locks back and keeps the history; told twice it does not wait for anything.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(INTERRUPTED);
    interruption.abort();
  });
}
const { TERM, KAHUNA_FORCE_RICH = '' } = process.env;
// A dumb terminal knows neither cursor movements nor colours.
const clever = TERM !== 'dumb';
const argv = process.argv.slice(2);
const forced = argv.includes('--force-rich') || /^(1|true|yes)$/i.test(KAHUNA_FORCE_RICH);
const code = await run(argv, {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: behindResults,
  terminal: forced || (clever && process.stdin.isTTY && process.stdout.isTTY) ? terminal() : undefined,
  outputIsTerminal: clever && process.stdout.isTTY,
  errorsAreTerminal: clever && process.stderr.isTTY,
  interrupted: interruption.signal,
  connect,
});
// Pipes are written behind: what a slow reader has not taken yet must still arrive. What else is open (a connection that is being
// closed, the terminal) must not keep the prompt from coming back.
await written(process.stdout);
await written(process.stderr);
process.exit(code);
