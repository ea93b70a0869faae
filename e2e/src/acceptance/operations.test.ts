import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Persistent } from '../clients/kv-api.ts';
import { putText, RestKv } from '../clients/rest-kv.ts';
import { Cluster } from '../harness/cluster.ts';
import { HANGS_MS, until } from '../harness/processes.ts';
import { serverEntry } from '../harness/server.ts';
import { expectRead, expectSaid } from './case.ts';

let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

async function started(args: readonly string[] = []): Promise<readonly string[]> {
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false, args });
  const { logFile } = cluster.node(1);
  return until('the line that it is ready', HANGS_MS, () => {
    const lines = readFileSync(logFile, 'utf8').split('\n');
    return lines.some(line => line.includes(' Ready.')) ? lines : undefined;
  });
}

/** What a line says beyond what is another in every start: time, directories, ports, processes. */
const said = (line: string): string =>
  line
    .replace(/^\S+Z /, '')
    .replace(/\/\S+/g, '<path>')
    .replace(/\d{4,}(?= ms)|(?<=[:\s])\d{5}\b|(?<=pid[ =])\d+/g, '<n>');

/** Every option with the default that the help gives it; one without is empty, or switched off. */
function defaults(): readonly { readonly name: string; readonly typed: string }[] {
  const help = execFileSync(process.execPath, [serverEntry(), '--help'], { encoding: 'utf8' });
  return help.split('\n').flatMap(line => {
    const option = /^\s+(?:-\w, )?--(?<name>[\w-]+)(?<takes> <[^>]+>)?\s.*?(?:\[(?<standard>.*)\])?$/.exec(line)?.groups;
    if (option?.['name'] === undefined || ['help', 'version'].includes(option['name'])) return [];
    const { name, takes, standard } = option;
    const off = takes === undefined ? 'false' : '';
    return [{ name, typed: standard === undefined ? off : standard === 'on' ? 'true' : standard }];
  });
}

test('operations:10 every option with its default given: the node starts and is the same', async () => {
  const plain = await started();
  const given = new Set(cluster?.node(1).options.args.filter(arg => arg.startsWith('--')));
  await cluster?.close();
  const options = defaults().filter(({ name }) => !given.has(`--${name}`));
  expect(options.length).toBeGreaterThan(170);
  const explicit = await started(options.map(({ name, typed }) => `--${name}=${typed}`));
  const startup = (lines: readonly string[]): string[] => lines.filter(line => line.includes(' server ')).map(said);
  expect(startup(explicit)).toEqual(startup(plain));
  const rest = new RestKv(cluster?.node(1).url ?? '');
  await expectSaid(putText(rest, 'ops10', 'v'), 'Set r0');
  await expectRead(rest.get({ key: 'ops10', durability: Persistent }), 'Get r0 "v"');
  rest.close();
});

test('operations:11 the start-up log names each automatic mechanism with its threshold, and each that is switched off', async () => {
  const text = (await started()).join('\n');
  for (const said of [
    /Size split: .*1000 keys/,
    /Load split: .*2000 writes\/s/,
    /Range promotion: .*100000 keys/,
    /Leader balancing: /,
  ]) {
    expect(text).toMatch(said);
  }
  await cluster?.close();
  const off = ['--range-split-threshold=0', '--range-split-load-threshold=0', '--disable-range-promotion'];
  const quiet = (await started([...off, '--raft-enable-leader-balancer=false'])).join('\n');
  for (const mechanism of ['Size split', 'Load split', 'Range promotion', 'Leader balancing']) {
    expect(quiet).toContain(`${mechanism}: off`);
  }
});

test('operations:§15 the line of the roster, which other tools match', async () => {
  const lines = await started();
  expect(lines.some(line => line.includes('Membership advanced to version 1: 1 member(s), local role Voter'))).toBe(true);
});
