/** A value the server does not know is drawn as this, never as zero (console C1). */
export const UNKNOWN = '–';

const THIN_SPACE = '\u2009';

/** Whole number with thin spaces between thousands. */
export function integer(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  const text = typeof value === 'number' ? Math.round(value).toString() : value;
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE);
}

/** Three significant digits; thousands as whole numbers. */
export function significant(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return integer(value);
  if (size >= 10) return trim(value.toFixed(1));
  return trim(value.toFixed(size >= 0.1 ? 2 : 3));
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export function rate(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : `${significant(value)}/s`;
}

/** A latency in milliseconds. */
export function millis(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : `${significant(value)} ms`;
}

export function percent(share: number | null | undefined): string {
  return share === null || share === undefined ? UNKNOWN : `${Math.round(share * 100)} %`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function bytes(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  let rest = Number(value);
  let unit = 0;
  while (Math.abs(rest) >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${unit === 0 ? rest : significant(rest)} ${UNITS[unit]}`;
}

/** Signed milliseconds with a real minus. */
export function signedMillis(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  const text = millis(Math.abs(value));
  return value < 0 && !text.startsWith('0 ') ? `−${text}` : text;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${integer(n)} ${n === 1 ? one : many}`;
}
