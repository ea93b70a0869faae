import { beforeEach, describe, expect, test } from 'vitest';
import { holdUnderPointer } from './row-hold.ts';

let held = 0;
const client = {
  holdRows: () => {
    held++;
    return () => {
      held--;
    };
  },
};

beforeEach(() => {
  held = 0;
  document.body.innerHTML = `<nav><ul><li id="page">Keys</li></ul></nav>
    <main id="main"><h1 id="title">Keys</h1>
      <table><thead><tr><th id="head">key</th></tr></thead><tbody><tr><td><a id="row">a</a></td></tr><tr><td id="next">b</td></tr></tbody></table>
    </main>`;
});

function pointer(type: 'pointermove' | 'pointerover', id: string, pointerType = 'mouse'): void {
  document.getElementById(id)?.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerType }));
}

describe('console:4.5 C5 rows under the pointer', () => {
  test('are held once while it is on any row, and no longer when it left them', () => {
    const end = holdUnderPointer(client, document);
    pointer('pointermove', 'row');
    pointer('pointerover', 'next');
    pointer('pointermove', 'next');
    expect(held).toBe(1);
    pointer('pointerover', 'head');
    expect(held).toBe(0);
    pointer('pointermove', 'row');
    document.documentElement.dispatchEvent(new PointerEvent('pointerleave'));
    expect(held).toBe(0);
    pointer('pointermove', 'row');
    end();
    expect(held).toBe(0);
  });

  test('a page that comes to lie under a resting pointer, the navigation and a finger hold nothing', () => {
    const end = holdUnderPointer(client, document);
    pointer('pointerover', 'row');
    pointer('pointermove', 'page');
    pointer('pointermove', 'title');
    pointer('pointermove', 'row', 'touch');
    expect(held).toBe(0);
    end();
  });
});
