import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take long on two quiet cores, longest first. One of them that began last would keep one core busy while the other has
 * nothing left to do. vitest remembers durations by itself, but a fresh clone has no memory.
 */
const LONGEST = [
  'libs/sim/src/planted/planted-faults.sim.test.ts',
  'libs/sim/src/sweep.sim.test.ts',
  'e2e/src/console/data-pages.test.ts',
  'e2e/src/faults.test.ts',
  'e2e/src/lock-and-sequence-faults.test.ts',
  'e2e/src/acceptance/retention.test.ts',
  'e2e/src/acceptance/locks.test.ts',
  'e2e/src/console/console.test.ts',
  'e2e/src/chaos/chaos.test.ts',
  'e2e/src/acceptance/leader-loss.test.ts',
  'e2e/src/single-node.test.ts',
  'e2e/src/acceptance/holds.test.ts',
  'e2e/src/acceptance/memory.test.ts',
  'e2e/src/acceptance/key-values.test.ts',
  'e2e/src/cli/commands.test.ts',
  'e2e/src/acceptance/sequences.test.ts',
  'e2e/src/watch/watch-faults.test.ts',
  'e2e/src/cli/transcripts.test.ts',
  'e2e/src/acceptance/lock-and-sequence-settings.test.ts',
  'e2e/src/cli/shell.test.ts',
  'e2e/src/acceptance/scans.test.ts',
  'e2e/src/smoke/range-stream.test.ts',
  'e2e/src/acceptance/operations.test.ts',
  'e2e/src/client/failover.test.ts',
  'e2e/src/watch/watch-names.test.ts',
  'e2e/src/client/client.test.ts',
  'e2e/src/cli/watch.test.ts',
];

/** The longest files first; the rest begins after them in vitest's own order. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex(path => moduleId.endsWith(path));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'libs/*/src/**/*.test.ts',
            'apps/{server,cli}/src/**/*.test.ts',
            'scripts/**/*.test.ts',
            'bench/src/**/*.test.ts',
          ],
          exclude: ['**/*.sim.test.ts', '**/node_modules/**'],
          // Only ends what hangs; what must be quick says so itself.
          testTimeout: 120_000,
        },
      },
      // Simulated time: the limit only ends what hangs, also where others have the processors.
      { test: { name: 'sim', include: ['libs/**/*.sim.test.ts'], testTimeout: 300_000 } },
      {
        test: {
          name: 'console',
          include: ['apps/console/src/**/*.test.{ts,tsx}'],
          environment: 'happy-dom',
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts', 'examples/**/*.test.ts'],
          setupFiles: ['e2e/src/harness/setup.ts'],
          // Only ends what hangs, on the slowest machine: what a test waits for has a shorter limit of its own, which says what it was.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
