import { expect, test } from 'vitest';
import { encodeCommand, RespError, RespReader, type RespReply } from './resp.ts';

const ANSWERS = Buffer.from('+OK\r\n:42\r\n$-1\r\n$6\r\na\r\nb\u00e9\r\n-NOSCRIPT no such script\r\n$0\r\n\r\n');
const EXPECTED: readonly RespReply[] = ['OK', 42, null, 'a\r\nb\u00e9', new RespError('NOSCRIPT no such script'), ''];

function read(chunks: readonly Buffer[]): RespReply[] {
  const replies: RespReply[] = [];
  const reader = new RespReader(reply => replies.push(reply));
  for (const chunk of chunks) reader.push(chunk);
  return replies;
}

test('a command is an array of bulk strings whose lengths count bytes', () => {
  expect(encodeCommand(['SET', 'k\u00e9y', Buffer.from([0, 13, 10])]).toString('latin1')).toBe(
    '*3\r\n$3\r\nSET\r\n$4\r\nk\u00c3\u00a9y\r\n$3\r\n\0\r\n\r\n',
  );
});

test('all kinds of answers in one chunk', () => {
  expect(read([ANSWERS])).toEqual(EXPECTED);
});

test('the same answers wherever the connection splits them', () => {
  for (let cut = 0; cut <= ANSWERS.length; cut++) {
    expect(read([ANSWERS.subarray(0, cut), ANSWERS.subarray(cut)])).toEqual(EXPECTED);
  }
  expect(read([...ANSWERS].map(byte => Buffer.from([byte])))).toEqual(EXPECTED);
});

test('bytes that are no answer are refused', () => {
  expect(() => read([Buffer.from('*1\r\n:1\r\n')])).toThrow(/begins with '\*'/);
});
