import type { Scheduler } from '@kahuna/node';

/** The event loop of this process. */
export const systemScheduler: Scheduler = {
  soon: task => {
    setImmediate(task);
  },
  after: (ms, task) => {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
};
