/**
 * Stands for what the type stripper could do besides: Flow, CommonJS, React, and newer syntax for older engines. A
 * module of the page is TypeScript, of which only the types are taken off.
 */
export default class NoTransform {
  constructor() {
    throw new Error('write: only types are taken off');
  }
}

/** Functions that code for older engines would call: none. */
export class HelperManager {
  emitHelpers(): string {
    return '';
  }

  getHelperName(name: string): string {
    throw new Error(`write: only types are taken off (${name})`);
  }
}
