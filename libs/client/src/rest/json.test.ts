import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromBase64, toBase64 } from './base64.ts';
import { JsonObject, parseExact, toJson } from './json.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

describe('parseExact', () => {
  test('rest:§2 every 64-bit integer survives, whatever text stands beside it', () => {
    fc.assert(
      fc.property(int64, fc.string({ unit: 'binary' }), (value, text) => {
        const body = `{"text":${JSON.stringify(text)},"list":[{"value":${value}}],"value":${value}}`;
        const json = new JsonObject(parseExact(body));
        expect(json.text('text')).toBe(text);
        expect(json.big('value')).toBe(value);
        expect(json.list('list')[0]?.big('value')).toBe(value);
      }),
    );
  });

  test.each(['":1234567890123456789,', '\\', '"', '\\"1234567890123456789', '[12345678901234567890]'])(
    'digits inside the text %j stay what they are',
    text => {
      const body = JSON.stringify({ text, value: 0 }).replace(':0', ':9007199254740993');
      const json = new JsonObject(parseExact(body));
      expect(json.text('text')).toBe(text);
      expect(json.big('value')).toBe(9_007_199_254_740_993n);
    },
  );

  test('what is no JSON throws', () => {
    expect(() => parseExact('{"a":1234567890123456789')).toThrow(SyntaxError);
    expect(() => new JsonObject(parseExact('[]'))).toThrow(/not a JSON object/);
    expect(() => new JsonObject(parseExact('{"a":1.5}')).number('a')).toThrow(/not an integer/);
    expect(() => new JsonObject(parseExact('{"a":"%"}')).bytes('a')).toThrow(/base64/);
  });
});

describe('toJson', () => {
  test('names in camel case, timestamps as one object, bytes as base64, long integers exact', () => {
    const json = toJson({
      Prefix: 'a',
      StartKey: undefined,
      Limit: 3,
      ReadTimestampNode: 1,
      ReadTimestampPhysical: 9_007_199_254_740_993n,
      ReadTimestampCounter: 2,
      Items: [{ Key: 'k', Value: new Uint8Array([1, 2]) }],
    });
    expect(json).toEqual({
      prefix: 'a',
      limit: 3,
      readTimestamp: { n: 1, l: '9007199254740993', c: 2 },
      items: [{ key: 'k', value: 'AQI=' }],
    });
  });
});

test('base64 both ways, as the platform has it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }),
  );
  const large = new Uint8Array(100_000).fill(255);
  expect(fromBase64(toBase64(large))).toHaveLength(100_000);
});
