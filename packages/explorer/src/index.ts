export * from './scenario.ts';
export * from './result.ts';
export * from './breadth-first.ts';
