export * from './scenario.ts';
export * from './result.ts';
export * from './shard.ts';
