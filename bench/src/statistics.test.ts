import { expect, test } from 'vitest';
import { putMessage, rangeMessage } from './load/etcd-http2.ts';
import { figure, median, table } from './statistics.ts';

test('the median of an odd and of an even number of values, whatever their order', () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test('figures carry three significant digits or so', () => {
  expect([0.123, 3.456, 34.56, 3456.7, Number.NaN].map(figure)).toEqual(['0.12', '3.46', '34.6', '3,457', '–']);
});

test('a table is Markdown with the numbers to the right', () => {
  expect(table(['load', 'ops/s'], [['put 1', '10']])).toBe('| load | ops/s |\n| --- | ---: |\n| put 1 | 10 |');
});

test('the hand-made etcd messages carry the gRPC header and the two fields', () => {
  const value = Buffer.alloc(300, 7);
  const message = putMessage('k/1', value);
  expect(message.readUInt32BE(1)).toBe(message.length - 5);
  expect([...message.subarray(5, 10)]).toEqual([0x0a, 3, 0x6b, 0x2f, 0x31]);
  expect([...message.subarray(10, 13)]).toEqual([0x12, 0xac, 0x02]);
  expect(message.subarray(13).equals(value)).toBe(true);
  expect([...rangeMessage('k/1')]).toEqual([0, 0, 0, 0, 5, 0x0a, 3, 0x6b, 0x2f, 0x31]);
});
