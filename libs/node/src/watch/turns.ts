/** Tasks of which only so many run at a time; the others wait in the order in which they came. */
export class Turns {
  private free: number;
  private readonly waiting: (() => void)[] = [];
  /** Of `waiting`: those before it have begun. */
  private next = 0;

  constructor(atOnce: number) {
    this.free = atOnce;
  }

  /** Settles as the task does. */
  async take<T>(task: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>(resolve => this.waiting.push(resolve));
    try {
      return await task();
    } finally {
      this.pass();
    }
  }

  private pass(): void {
    const begin = this.waiting[this.next];
    if (begin === undefined) {
      this.free++;
      return;
    }
    this.next++;
    if (this.next === this.waiting.length || this.next > 1024) {
      this.waiting.splice(0, this.next);
      this.next = 0;
    }
    begin();
  }
}
