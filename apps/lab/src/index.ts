export { main } from './shootdown.ts';
