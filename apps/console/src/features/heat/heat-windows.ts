/** What is kept: an hour of ten seconds, twelve hours of minutes. */
export const HEAT_WINDOWS = {
  '1h': { step: 10, columns: 360, label: '1 h', last: 'hour' },
  '12h': { step: 60, columns: 720, label: '12 h', last: '12 hours' },
} as const;
