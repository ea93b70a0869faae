import { readFileSync } from 'node:fs';
import { ManualClock } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { parseFlags } from '../config/parse-flags.ts';
import { resolveSettings } from '../config/settings.ts';
import { readyAddresses, startupLines } from './banner.ts';
import { componentLog, createLogger, RepeatLimiter } from './logger.ts';
import { derivedNodeId } from './open-storage.ts';
import { VERSION } from './version.ts';

function settings(...argv: string[]) {
  const parsed = parseFlags(argv, {});
  if (parsed.kind !== 'run') throw new Error('expected options');
  return resolveSettings(parsed.flags, { HOME: '/home/someone' });
}

function logLines(
  format: string | undefined,
  level: string | undefined,
  use: (log: ReturnType<typeof componentLog>) => void,
): string[] {
  const lines: string[] = [];
  const logger = createLogger({ format, level, write: line => lines.push(line) });
  use(componentLog(logger, 'test', () => 0));
  return lines;
}

describe('log lines (operations §15)', () => {
  test('for people: time, level, component, message, fields, one line whatever they hold', () => {
    const [line] = logLines(undefined, undefined, log =>
      log.info('hello there', { peer: 'b:1', reason: 'two\nlines', count: 2 }),
    );
    expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z Information test hello there peer=b:1 reason="two\\nlines" count=2\n$/);
  });

  test('as JSON, with the names of the levels', () => {
    const [line] = logLines('json', undefined, log => log.critical('gone', { reason: 'disk' }));
    expect(JSON.parse(line as string)).toMatchObject({ level: 'Critical', component: 'test', message: 'gone', reason: 'disk' });
  });

  test('the level is a threshold', () => {
    const lines = logLines(undefined, 'warning', log => {
      log.info('quiet');
      log.warn('loud');
    });
    expect(lines).toHaveLength(1);
  });

  test('a repeated warning is written at once, then every 10 s with a count', () => {
    const clock = new ManualClock();
    const limiter = new RepeatLimiter(() => clock.monotonicMs());
    expect(limiter.admit('x')).toBe(0);
    expect(limiter.admit('x')).toBeUndefined();
    expect(limiter.admit('y')).toBe(0);
    clock.advance(10_000);
    expect(limiter.admit('x')).toBe(1);
  });
});

describe('start-up lines (operations §15)', () => {
  const facts = { nodeId: 7, storagePath: '/d/v1', walPath: '/w/v1' };

  test('name storage, log, ports, identity and the missing certificate', () => {
    const lines = startupLines(settings(), facts);
    expect(lines).toContain('Storage: rocksdb at /d/v1');
    expect(lines).toContain('WAL: file at /w/v1');
    expect(lines).toContain('HTTPS disabled: no certificate configured (pass --https-certificate to enable it)');
    expect(lines.join('\n')).toMatch(/id 7.* at localhost:2070, standalone/);
  });

  test('operations:11 each automatic mechanism is named with its threshold, and off when switched off', () => {
    const text = startupLines(settings(), facts).join('\n');
    for (const part of ['Size split', '1000 keys', 'Load split', '2000 writes/s', 'Range promotion', 'Leader balancing']) {
      expect(text).toContain(part);
    }
    const off = startupLines(settings('--range-split-threshold', '0', '--disable-range-promotion'), facts);
    expect(off).toContain('Size split: off');
    expect(off).toContain('Range promotion: off');
  });

  test('the ready line names every address a person can open', () => {
    expect(readyAddresses(settings())).toBe('console http://localhost:2070/ui/  REST http://localhost:2070  gRPC localhost:2072');
    expect(readyAddresses(settings('--console-level', 'off'))).not.toContain('/ui/');
  });
});

test('a node id derived from an endpoint is stable, positive and 31 bits', () => {
  expect(derivedNodeId('a:1')).toBe(derivedNodeId('a:1'));
  const ids = Array.from({ length: 1000 }, (_, i) => derivedNodeId(`host-${i}:2070`));
  expect(new Set(ids).size).toBe(1000);
  expect(ids.every(id => id > 0 && id <= 0x7fff_ffff)).toBe(true);
});

test('the version is the one of the root package', () => {
  const root = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(VERSION).toBe(root.version);
});
