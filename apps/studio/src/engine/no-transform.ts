/** Stands for what the type stripper could do besides: Flow, CommonJS, React. A module of the page is TypeScript. */
export default class NoTransform {
  constructor() {
    throw new Error('write: only types are taken off');
  }
}
