export default {
  plugins: {
    'postcss-preset-mantine': {},
    'postcss-simple-vars': {
      variables: { narrow: '47.5em', medium: '68.75em' },
    },
  },
};
