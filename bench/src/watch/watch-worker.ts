import { obeyCommands } from '../load/child.ts';
import { type WatchLoad, WatchLoadGenerator, type WatchResult } from './watch-load.ts';
import type { WatchSpec } from './watchers.ts';

export type WatchCommand =
  | { readonly kind: 'open'; readonly spec: WatchSpec }
  | { readonly kind: 'run'; readonly load: WatchLoad }
  | { readonly kind: 'close' };

/** Main program of a load generator for watches. They are open while they are measured: idle ones of others cost nothing. */
let generator: WatchLoadGenerator | undefined;

obeyCommands<WatchCommand, WatchResult>(async command => {
  switch (command.kind) {
    case 'open':
      generator = new WatchLoadGenerator(command.spec);
      await generator.begin();
      return undefined;
    case 'run':
      return generator?.measure(command.load);
    case 'close':
      generator?.close();
      process.disconnect();
      return undefined;
  }
});
