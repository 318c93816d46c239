/**
 * A mistake in what the user gave us: a topology, a routine, a schedule, a flag. Its message is one line of the form
 * `component: operation: reason (value)`; a front end prints that line and nothing else.
 */
export class ModelError extends Error {
  override readonly name = 'ModelError';
}
