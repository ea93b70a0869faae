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

export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: { light: 7, dark: 4 },
  colors: { accent },
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
