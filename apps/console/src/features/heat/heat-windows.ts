/** What is kept: an hour of ten seconds, twelve hours of minutes. */
export const HEAT_WINDOWS = {
  '1h': { step: 10, columns: 360, label: '1 h' },
  '12h': { step: 60, columns: 720, label: '12 h' },
} as const;
