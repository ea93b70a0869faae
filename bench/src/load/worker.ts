import { obeyCommands } from './child.ts';
import { type LoadResult, runLoad } from './generator.ts';
import type { LoadCommand } from './load-process.ts';
import { openTarget } from './open-target.ts';
import type { Target } from './target.ts';

/** Main program of a load generator: opens its connections once, then runs one load after the other as it is told. */
let targets: Target[] = [];

obeyCommands<LoadCommand, LoadResult>(async command => {
  switch (command.kind) {
    case 'open':
      targets = Array.from({ length: command.connections }, () => openTarget(command.target));
      return undefined;
    case 'run':
      return runLoad(targets, command.load);
    case 'close':
      for (const target of targets) target.close();
      process.disconnect();
      return undefined;
  }
});
