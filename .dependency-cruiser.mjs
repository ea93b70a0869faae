/**
 * Which room may import which (docs/architecture.md). Imports point inward; a wrong arrow fails `npm run check`.
 * @type {import('dependency-cruiser').IConfiguration}
 */
const LIBS = {
  base: [],
  raft: ['base'],
  'range-router': ['base'],
  txn: ['base'],
  partition: ['base', 'raft', 'range-router', 'txn'],
  node: ['base', 'raft', 'range-router', 'txn', 'partition'],
  storage: ['base', 'raft', 'partition', 'node'],
  wire: ['base', 'range-router', 'partition'],
  client: ['base', 'range-router', 'wire'],
  sim: ['base', 'raft', 'range-router', 'txn', 'partition', 'node', 'storage'],
};
const PURE = ['base', 'raft', 'range-router', 'txn', 'partition'];

const anyOf = names => `(${names.join('|')})`;
const TEST = '\\.(test|bench)\\.tsx?$|/test/';

const roomRules = Object.entries(LIBS).map(([room, inner]) => ({
  name: `${room}-imports-inward`,
  comment: `libs/${room} imports ${inner.length > 0 ? inner.join(', ') : 'no other room'}`,
  severity: 'error',
  from: { path: `^libs/${room}/`, pathNot: TEST },
  to: { path: '^(libs|apps|e2e|bench)/', pathNot: `^libs/${anyOf([room, ...inner])}/` },
}));

export default {
  forbidden: [
    ...roomRules,
    {
      name: 'tests-of-libs-import-libs',
      comment: 'A test of a library may use the simulator, but no application',
      severity: 'error',
      from: { path: `^libs/.*(${TEST})` },
      to: { path: '^(apps|e2e|bench)/' },
    },
    {
      name: 'pure-rooms-know-no-platform',
      comment: 'Pure rooms have no sockets, files, timers or process: they run under the simulator and in a browser',
      severity: 'error',
      from: { path: `^libs/${anyOf(PURE)}/src/`, pathNot: TEST },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-rooms-use-no-packages',
      severity: 'error',
      from: { path: `^libs/${anyOf(PURE)}/src/`, pathNot: TEST },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer'], pathNot: '^libs/' },
    },
    {
      name: 'server-does-not-simulate',
      comment: 'The simulator is imported by tests, e2e and bench only',
      severity: 'error',
      from: { path: '^apps/', pathNot: TEST },
      to: { path: '^libs/sim/' },
    },
    {
      name: 'console-stands-alone',
      comment: 'The console knows the server only through its protocol',
      severity: 'error',
      from: { path: '^apps/console/', pathNot: '^apps/console/vite\\.config' },
      to: { path: '^(libs|apps/server|e2e|bench)/' },
    },
    {
      name: 'command-line-is-a-client',
      comment: 'The command line knows the server only as every client does',
      severity: 'error',
      from: { path: '^apps/cli/' },
      to: { path: '^(libs|apps|e2e|bench)/', pathNot: '^apps/cli/|^libs/(client|base)/' },
    },
    {
      name: 'applications-are-not-libraries',
      comment: 'The tests of the client begin with an embedded node, which the server room exports for just that',
      severity: 'error',
      from: { path: '^(libs|e2e|bench)/', pathNot: '^e2e/src/client/.+\\.test\\.ts$' },
      to: { path: '^apps/' },
    },
    {
      name: 'through-the-front-door',
      comment: 'Another room is imported by its package name (its index), not by a path into its files',
      severity: 'error',
      from: { path: '^(libs|apps)/([^/]+)/' },
      to: {
        path: '^(libs|apps)/[^/]+/',
        pathNot: '^$1/$2/|^libs/[^/]+/src/index\\.ts$|^libs/wire/src/.+|^apps/console/src/protocol/.+',
      },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { pathNot: '/generated/' } } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|results|node_modules)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.json'],
    },
  },
};
