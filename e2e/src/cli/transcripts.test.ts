import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { play } from './transcript.ts';
import { TRANSCRIPTS } from './transcripts.ts';

describe.each([1, 3])('transcripts on %i node(s)', nodes => {
  const directory = mkdtempSync(join(tmpdir(), 'kahuna-cli-'));
  let cluster: Cluster;
  let endpoints: string;

  beforeAll(async () => {
    cluster = await Cluster.start({
      nodes,
      storage: 'memory',
      breakableNetwork: false,
      args: [...SOON_READY, '--sequencer-block-size', '1'],
    });
    endpoints = cluster.nodes.map(node => node.url).join(',');
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(directory, { recursive: true, force: true });
  });

  // Each has names of its own, and most of their time is the start of processes.
  for (const transcript of TRANSCRIPTS.filter(({ local }) => nodes === 1 || !local)) {
    test.concurrent(`cli:${transcript.id} ${transcript.title}`, async ({ expect }) => {
      const { said, wanted } = await play(transcript, endpoints, directory);
      expect(said).toBe(wanted);
    });
  }
});
