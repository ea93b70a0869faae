/**
 * Runs callbacks in order on a later turn of the event loop, all that are due in one turn: the ports promise that no caller is
 * re-entered, and a turn in between lets sockets and timers have their share however long a chain of callbacks grows.
 */
export class DeferredQueue {
  private due: (() => void)[] = [];
  private scheduled = false;

  push(task: () => void): void {
    this.due.push(task);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.drain());
  }

  private drain(): void {
    const tasks = this.due;
    this.due = [];
    this.scheduled = false;
    let done = 0;
    try {
      while (done < tasks.length) (tasks[done++] as () => void)();
    } finally {
      // A callback that throws must not take the ones behind it along.
      if (done < tasks.length) {
        this.due = tasks.slice(done).concat(this.due);
        this.schedule();
      }
    }
  }
}
