import { useState } from 'react';

export interface StableOrder {
  /** Every wanted id, in the order that is kept. */
  readonly ids: readonly string[];
  /** How many stand elsewhere than they should by now. */
  readonly moved: number;
  readonly apply: () => void;
}

/** Rows keep the order they had when the view opened or was sorted (`basis`); what belongs elsewhere now is counted (console §4.5, C5). */
export function useStableOrder(wanted: readonly string[], basis: string): StableOrder {
  const [kept, setKept] = useState({ basis, ids: wanted });
  if (kept.basis !== basis || (kept.ids.length === 0 && wanted.length > 0)) setKept({ basis, ids: wanted });
  const present = new Set(wanted);
  const known = new Set(kept.ids);
  const ids = [...kept.ids.filter(id => present.has(id)), ...wanted.filter(id => !known.has(id))];
  return {
    ids,
    moved: ids.filter((id, i) => wanted[i] !== id).length,
    apply: () => setKept({ basis, ids: wanted }),
  };
}

/**
 * Rows that the server sorts by what changes: they keep their places. `basis` undefined: they stand in the order of their names, where
 * each has its place anyway.
 */
export function useOrderedRows<T>(
  found: readonly T[],
  idOf: (row: T) => string,
  basis: string | undefined,
): StableOrder & { readonly rows: readonly T[] } {
  const byId = new Map(found.map(row => [idOf(row), row]));
  const wanted = [...byId.keys()];
  const kept = useStableOrder(wanted, basis ?? '');
  const order = basis === undefined ? { ids: wanted, moved: 0, apply: kept.apply } : kept;
  return { ...order, rows: order.ids.map(id => byId.get(id)).filter(row => row !== undefined) };
}

/** `12 moved · apply order`, where there is something to apply. */
export function ApplyOrder({ order }: { order: StableOrder }) {
  if (order.moved === 0) return null;
  return (
    <button type="button" className="text-button" onClick={order.apply}>
      {order.moved} moved · apply order
    </button>
  );
}
