/** Exit codes of the command; part of its contract. */
export const ExitCode = {
  /** Safe, or done. */
  ok: 0,
  /** A bound was hit before the search was complete. */
  bounded: 2,
  /** The topology or other input is invalid. */
  invalidInput: 10,
  deadlock: 11,
  violation: 12,
  usage: 64,
  /** Interrupted by Ctrl-C: what was found so far has been printed. */
  interrupted: 130,
  /** The reader of the output is gone (`| head`): as if SIGPIPE had ended the command. */
  nobodyReads: 141,
} as const;

