import type { ChildProcess } from 'node:child_process';
import { ended, spawnOwned } from '@kahuna/e2e';

type Answer<R> = { readonly result?: R; readonly error?: string };

/** A module in a process of its own that obeys commands one after the other; it ends when told `close`. */
export class Child<C extends { readonly kind: string }, R> {
  private readonly child: ChildProcess;
  private waiting: { resolve: (result: R | undefined) => void; reject: (error: Error) => void } | undefined;

  constructor(module: string) {
    this.child = spawnOwned(process.execPath, ['--import', 'tsx', module], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.child.on('message', (answer: Answer<R>) => {
      const { waiting } = this;
      this.waiting = undefined;
      if (answer.error === undefined) waiting?.resolve(answer.result);
      else waiting?.reject(new Error(`load generator: ${answer.error}`));
    });
    this.child.once('exit', code => this.waiting?.reject(new Error(`load generator ended (${code})`)));
  }

  tell(command: C): Promise<R | undefined> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.child.send(command);
    });
  }

  async close(command: C): Promise<void> {
    const gone = ended(this.child);
    this.child.send(command);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 2000);
    await gone;
    clearTimeout(timer);
  }
}

/** The other side of {@link Child}: answers each command with what `obey` resolves to. */
export function obeyCommands<C, R>(obey: (command: C) => Promise<R | undefined>): void {
  process.on('message', (command: C) => {
    obey(command).then(
      result => process.connected && process.send?.({ result }),
      (error: unknown) =>
        process.connected && process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
}
