import './commands.css';
import { CopyButton } from './copy-button.tsx';

/** One operation of the node's interface, as it is asked for outside of the console (console C10). */
export interface Command {
  readonly cli: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** In single quotes no character means anything to a shell but the quote itself. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curlOf({ path, body }: Command): string {
  return `curl -X POST "${window.location.origin}${path}" -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))}`;
}

/** The same from a terminal. */
export function Commands({ command }: { command: Command }) {
  return (
    <div className="same-as in-panel">
      <span className="muted small">Read it with</span>
      <CopyButton text={command.cli} label="Copy as CLI" />
      <CopyButton text={curlOf(command)} label="Copy as curl" />
    </div>
  );
}
