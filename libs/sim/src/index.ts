export * from './checkers/index.ts';
