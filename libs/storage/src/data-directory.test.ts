import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { DATA_FORMAT_VERSION, type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';

const root = mkdtempSync(join(tmpdir(), 'kahuna-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let options: DataDirectoryOptions;
beforeEach(() => {
  const base = mkdtempSync(join(root, 'set-'));
  options = {
    statePath: join(base, 'deep', 'data'),
    walPath: join(base, 'deep', 'wal'),
    stateRevision: 'v1',
    walRevision: 'v1',
    engine: 'rocksdb',
    log: 'file',
    partitions: 3,
    nodeId: 0,
    derivedNodeId: 77,
    electionTimeoutMs: 2000,
  };
});

async function openAndClose(changed: Partial<DataDirectoryOptions> = {}) {
  const directory = await openDataDirectory({ ...options, ...changed });
  await directory.close();
  return directory;
}

describe('data directory', () => {
  test('the first opening creates it, later ones find the same identity and a higher boot', async () => {
    const first = await openAndClose();
    expect(first).toMatchObject({ created: true, nodeId: 77, boot: 1, partitions: 3 });
    expect(Number.isSafeInteger(first.storageId) && first.storageId > 0).toBe(true);
    const second = await openAndClose({ derivedNodeId: 5, partitions: 9 });
    expect(second).toMatchObject({ created: false, storageId: first.storageId, nodeId: 77, boot: 2, partitions: 3 });
    expect(second.stateDirectory).toBe(join(options.statePath, 'v1', 'state'));
    expect(second.logDirectory).toBe(join(options.walPath, 'v1', 'log'));
  });

  test('state and log may share a directory; another revision is another data set', async () => {
    const shared = { walPath: options.statePath };
    const first = await openAndClose(shared);
    expect((await openAndClose(shared)).storageId).toBe(first.storageId);
    const other = await openAndClose({ ...shared, stateRevision: 'v2', walRevision: 'v2' });
    expect(other.storageId).not.toBe(first.storageId);
  });

  test('two openings at a time are refused, naming the holder', async () => {
    const holder = await openDataDirectory(options);
    await expect(openDataDirectory(options)).rejects.toThrow(`in use by process ${process.pid}`);
    await holder.close();
    await openAndClose();
  });

  test('a living process keeps its lock, a killed one loses it', async () => {
    const source = `
      import { openDataDirectory } from ${JSON.stringify(new URL('./data-directory.ts', import.meta.url).href)};
      openDataDirectory(${JSON.stringify(options)}).then(() => { console.log('open'); setInterval(() => {}, 1000); });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: new URL('..', import.meta.url),
    });
    await once(child.stdout, 'data');
    await expect(openDataDirectory(options)).rejects.toThrow(`in use by process ${child.pid}`);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(await openAndClose()).toMatchObject({ created: false, boot: 2 });
  });

  test('a lock whose process id now belongs to another process is taken over', async () => {
    await openAndClose();
    writeFileSync(join(options.statePath, 'v1', 'LOCK'), JSON.stringify({ pid: process.ppid, started: '1' }));
    expect(await openAndClose()).toMatchObject({ boot: 2 });
  });

  test('a former life of the same process id does not keep the lock, as in a container', async () => {
    await openAndClose();
    writeFileSync(join(options.statePath, 'v1', 'LOCK'), JSON.stringify({ pid: process.pid, started: '1' }));
    expect(await openAndClose()).toMatchObject({ boot: 2 });
  });

  test('another engine, another node and a newer format are refused, and the locks given back', async () => {
    await openAndClose();
    await expect(openDataDirectory({ ...options, engine: 'sqlite' })).rejects.toThrow(/made by engine rocksdb.*sqlite/);
    await expect(openDataDirectory({ ...options, nodeId: 8 })).rejects.toThrow('belongs to node 77, not to node 8');
    const file = join(options.statePath, 'v1', 'state-identity.json');
    const newer = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...newer, format: DATA_FORMAT_VERSION + 1 }));
    await expect(openDataDirectory(options)).rejects.toThrow(/newer release/);
    writeFileSync(file, '{');
    await expect(openDataDirectory(options)).rejects.toThrow(/state-identity.json is damaged/);
    writeFileSync(file, JSON.stringify(newer));
    await openAndClose();
  });

  test('a state without its log, a log without its state, and a foreign log are refused', async () => {
    await openAndClose();
    await expect(openDataDirectory({ ...options, walRevision: 'v2' })).rejects.toThrow(/the log of .* is not in/);
    await expect(openDataDirectory({ ...options, log: 'memory' })).rejects.toThrow(/in memory/);
    await openAndClose({ stateRevision: 'other', walRevision: 'other' });
    await expect(openDataDirectory({ ...options, walRevision: 'other' })).rejects.toThrow(/does not belong/);
    mkdirSync(join(options.walPath, 'v1', 'log'));
    writeFileSync(join(options.walPath, 'v1', 'log', 'segment'), '');
    await expect(openDataDirectory({ ...options, stateRevision: 'fresh' })).rejects.toThrow(/holds a log that does not belong/);
  });

  test('data without an identity is never taken for a new data set', async () => {
    const directory = await openAndClose();
    mkdirSync(directory.stateDirectory as string);
    writeFileSync(join(directory.stateDirectory as string, 'CURRENT'), '');
    rmSync(join(options.statePath, 'v1', 'state-identity.json'));
    await expect(openDataDirectory(options)).rejects.toThrow(/damaged/);
  });

  test('a path that can not be written says which and why', async () => {
    const file = join(root, 'a-file');
    writeFileSync(file, '');
    await expect(openDataDirectory({ ...options, statePath: join(file, 'x') })).rejects.toThrow(
      /state directory .*a-file\/x\/v1 is not writable: ENOTDIR/,
    );
    await expect(openDataDirectory({ ...options, walPath: join(file, 'y') })).rejects.toThrow(/log directory .* is not writable/);
    await expect(openDataDirectory({ ...options, statePath: '/proc/nowhere/x' })).rejects.toThrow(
      /state directory \/proc\/nowhere\/x\/v1 is not writable: ENOENT/,
    );
    await openAndClose(); // the state's lock was given back
  });

  test('the memory engine touches no disk and is another data set at every opening', async () => {
    const memory = { engine: 'memory', log: 'memory', statePath: '/proc/nowhere', walPath: '/proc/nowhere' } as const;
    const first = await openAndClose(memory);
    const second = await openAndClose(memory);
    expect(first).toMatchObject({ created: true, stateDirectory: undefined, logDirectory: undefined, nodeId: 77 });
    expect(second.storageId).not.toBe(first.storageId);
  });

  test('a disk engine may have a log in memory, and get one on disk later', async () => {
    const first = await openAndClose({ log: 'memory' });
    expect(first).toMatchObject({ logDirectory: undefined, logWasVolatile: false });
    expect(await openAndClose()).toMatchObject({ created: false, storageId: first.storageId, logWasVolatile: true });
    const third = await openAndClose();
    expect(third.logDirectory).toBeDefined();
    expect(third.logWasVolatile).toBe(false);
  });

  test('a shorter election timeout does not shorten what former processes promised, however quickly restarts follow one another', async () => {
    expect(await openAndClose({ electionTimeoutMs: 10_000 })).toMatchObject({ promisedMs: 0 });
    for (let restart = 0; restart < 3; restart++) expect(await openAndClose()).toMatchObject({ promisedMs: 10_000 });
    expect(await openAndClose({ electionTimeoutMs: 20_000 })).toMatchObject({ promisedMs: 10_000 });
    expect(await openAndClose()).toMatchObject({ promisedMs: 20_000 });
  });

  test('a process that outlives those promises ends them, by its clock of the time since it opened', async () => {
    await openAndClose({ electionTimeoutMs: 10_000 });
    let now = 5000;
    for (const lifeMs of [10_000, 10_001]) {
      const directory = await openDataDirectory(options, () => now);
      expect(directory.promisedMs).toBe(10_000);
      now += lifeMs;
      await directory.close();
    }
    expect(await openAndClose()).toMatchObject({ promisedMs: 2000 });
  });

  test('a data set of before promises were kept opens as if there were none', async () => {
    await openAndClose();
    const file = join(options.statePath, 'v1', 'state-identity.json');
    const { promisedMs, ...older } = JSON.parse(readFileSync(file, 'utf8'));
    expect(promisedMs).toBe(2000);
    writeFileSync(file, JSON.stringify(older));
    expect(await openAndClose()).toMatchObject({ promisedMs: 0 });
    expect(await openAndClose()).toMatchObject({ promisedMs: 2000 });
  });
});
