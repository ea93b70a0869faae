export * from './jump-hash.ts';
export * from './key-space.ts';
export * from './placement.ts';
export * from './routing-table.ts';
export * from './xxhash32.ts';
