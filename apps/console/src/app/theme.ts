import { createTheme, type MantineColorsTuple } from '@mantine/core';

/** The one colour of interaction, teal-blue; states have their own (console §12). */
const accent: MantineColorsTuple = [
  '#e4f5f9',
  '#c9e9f1',
  '#9ad3e2',
  '#66bcd3',
  '#3ea7c3',
  '#2497b6',
  '#107d9b',
  '#0b6a85',
  '#07566d',
  '#033f51',
];

/** The kit's greys of the dark theme, from text to page, in the hue of our own surfaces. */
const dark: MantineColorsTuple = [
  '#e6e9ee',
  '#c3cad3',
  '#9aa4b0',
  '#6b7683',
  '#46515e',
  '#2f3843',
  '#1d232b',
  '#0f1318',
  '#171c22',
  '#0b0e12',
];

export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: { light: 7, dark: 4 },
  colors: { accent, dark },
  defaultRadius: 4,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace',
  fontSizes: { xs: '11.5px', sm: '13px', md: '13px', lg: '15px', xl: '18px' },
  cursorType: 'pointer',
  autoContrast: true,
  respectReducedMotion: true,
  components: {
    Tooltip: { defaultProps: { openDelay: 250, withinPortal: true } },
    SegmentedControl: { defaultProps: { size: 'xs' } },
  },
});
