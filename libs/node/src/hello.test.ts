import { DecodeError } from '@kahuna/base';
import { expect, test } from 'vitest';
import { decodeHello, encodeHello, type Hello } from './hello.ts';

const HELLO: Hello = {
  ...{ protocolMin: 1, protocolMax: 2, clusterId: 'c', endpoint: 'a:1', nodeId: 1, name: 'n', storageId: 7, boot: 3 },
  ...{ poolSize: 8, founded: true, knows: { '1': 7, '2': 9 }, listed: 2, clientUrl: 'u', consoleUrl: '' },
  ...{ electionTimeoutMs: 2000, version: '1' },
};

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

test('a hello comes back as it was sent', () => {
  expect(decodeHello(encodeHello(HELLO))).toEqual(HELLO);
});

test('members of a later release are ignored, and what an earlier one does not say is not made up', () => {
  const { listed: _, ...earlier } = HELLO;
  expect(decodeHello(bytesOf({ ...earlier, sails: 3 }))).toEqual({ ...HELLO, listed: 0 });
  expect(decodeHello(bytesOf({ ...earlier, knows: undefined, founded: undefined }))).toMatchObject({ knows: {}, founded: false });
});

const REFUSED: [string, unknown][] = [
  ['no JSON', '{'],
  ['a text that is not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d])],
  ['nothing', 'null'],
  ['a number', '7'],
  ['a list', '[]'],
  ...(['clusterId', 'endpoint', 'name', 'clientUrl', 'consoleUrl', 'version'] as const).map((name): [string, unknown] => [
    `a number as ${name}`,
    { ...HELLO, [name]: 5 },
  ]),
  ...(['protocolMin', 'nodeId', 'storageId', 'boot', 'poolSize', 'electionTimeoutMs', 'listed'] as const).flatMap(
    (name): [string, unknown][] => [
      [`a text as ${name}`, { ...HELLO, [name]: '5' }],
      [`a negative ${name}`, { ...HELLO, [name]: -1 }],
      [`half a ${name}`, { ...HELLO, [name]: 0.5 }],
      [`a ${name} beyond what numbers count`, { ...HELLO, [name]: 2 ** 53 }],
    ],
  ),
];

for (const [what, sent] of REFUSED) {
  test(`is not taken for a hello: ${what}`, () => {
    expect(() => decodeHello(sent instanceof Uint8Array ? sent : bytesOf(sent))).toThrow(DecodeError);
  });
}
