/**
 * One worker at a time writes the nightly report, and a worker that lost its lock without noticing can do no harm.
 *
 * A lock alone cannot promise that: its holder may be paused for longer than the lease and go on as if nothing had been. The
 * fencing token closes the gap: it grows with every grant, and the protected resource refuses a smaller one than it has seen.
 */
import { Kahuna } from '@kahuna/client';

/** Stands for a database table with a column `fence`: `UPDATE … SET … WHERE fence <= $token`. */
class ReportStore {
  private fence = -1n;
  text = '';

  write(text: string, fencingToken: bigint): boolean {
    if (fencingToken < this.fence) return false;
    this.fence = fencingToken;
    this.text = text;
    return true;
  }
}

await using kahuna = new Kahuna({ endpoints: process.env['KAHUNA_URL'] ?? 'http://127.0.0.1:2070' });
const store = new ReportStore();
const name = 'examples/nightly-report';

async function writeReport(worker: string): Promise<bigint> {
  // Waits until the lock is free; renewed in the background; released at the end of this function, however it ends.
  await using lock = await kahuna.lock(name, { leaseMs: 5000, waitMs: 10_000 });
  // Hand `lock.signal` to whatever takes long (fetch, timers, queries): it fires when the lock is lost or may be.
  lock.signal.throwIfAborted();
  console.log(`${worker} wrote: ${store.write(`report by ${worker}`, lock.fencingToken)}`);
  return lock.fencingToken;
}

const first = await writeReport('Ada');
const second = await writeReport('Grace');
console.log(`tokens grow: ${second > first}`);

// Ada wakes from a long pause and still believes that she holds the lock: her token gives her away.
console.log(`late write accepted: ${store.write('report by Ada, again', first)}`);
console.log(`stored: ${store.text}`);
