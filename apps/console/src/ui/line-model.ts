/** A name that is absent, or null, is not known at that time. */
export type Point = { readonly atMs: number } & Readonly<Record<string, number | null>>;

/** Largest and newest known value of a line, for the text that stands for the picture. */
export function summary(
  points: readonly Point[],
  name: string,
): { readonly newest: number | null; readonly most: number | null } {
  const known = points.map(p => p[name]).filter((v): v is number => typeof v === 'number');
  return { newest: known.at(-1) ?? null, most: known.length === 0 ? null : Math.max(...known) };
}
