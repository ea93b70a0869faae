import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, test } from 'vitest';
import { ValueView } from './value-view.tsx';

afterEach(cleanup);

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function show(value: Uint8Array | null, total: number | null = value?.length ?? null): void {
  render(
    <MantineProvider>
      <ValueView value={value} total={total} />
    </MantineProvider>,
  );
}

const shown = (): string => screen.getByRole('region', { name: 'Value' }).textContent ?? '';

describe('console:§6.6 a value on the screen', () => {
  test('JSON opens as JSON and can be read in every other form', () => {
    show(bytes('{"a":1}'));
    expect(shown()).toBe('{\n  "a": 1\n}');
    fireEvent.click(screen.getByRole('radio', { name: 'Text' }));
    expect(shown()).toBe('{"a":1}');
    fireEvent.click(screen.getByRole('radio', { name: 'Base64' }));
    expect(shown()).toBe('eyJhIjoxfQ==');
  });

  test('markup stays text', () => {
    show(bytes('<img src=x onerror=alert(1)>'));
    expect(shown()).toBe('<img src=x onerror=alert(1)>');
    expect(document.querySelector('.value-text img')).toBeNull();
  });

  test('invalid UTF-8 opens as hex, without a text viewer', () => {
    show(Uint8Array.of(0xff, 0xfe, 0x00));
    expect(shown()).toMatch(/^00000000 {2}ff fe 00/);
    expect(screen.queryByRole('radio', { name: 'Text' })).toBeNull();
  });

  test('null, empty and cut values say so', () => {
    show(null);
    screen.getByText('The value is null.');
    cleanup();
    show(new Uint8Array());
    screen.getByText('The value is empty: zero bytes.');
    cleanup();
    show(bytes('{"a":'), 1_000_000);
    screen.getByText(/^The first 5 B of 977 KiB/);
  });
});
