/**
 * Two schedulers of which one may run at a time. The leader works until its term ends: because it resigns, because the process is
 * stopped, or because its leadership can no longer be proved.
 */
import { Kahuna } from '@kahuna/client';

await using kahuna = new Kahuna({ endpoints: process.env['KAHUNA_URL'] ?? 'http://127.0.0.1:2070' });

const name = 'examples/scheduler';
const done: string[] = [];

async function scheduler(candidate: string, rounds: number): Promise<void> {
  const stop = new AbortController();
  const election = kahuna.election(name, { candidate });
  await election.lead(
    async leadership => {
      for (let round = 0; round < rounds && !leadership.signal.aborted; round++) {
        // Right before anything that only a leader may do: throws if leadership cannot be proved at this instant.
        leadership.assertLeader();
        done.push(candidate);
      }
      const view = await election.leader();
      console.log(`${candidate} worked ${rounds} rounds while the leader was ${view?.leader}`);
      stop.abort();
    },
    { signal: stop.signal, leaseMs: 15_000, retryMs: 50 },
  );
}

await Promise.all([scheduler('east', 3), scheduler('west', 2)]);

const turns = done.filter((candidate, i) => candidate !== done[i - 1]).length;
console.log(`each led once, without the other in between: ${turns === 2}`);
