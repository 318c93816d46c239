import type { MachineRun } from '@shootdown/topology';

/** Exit codes of the command; part of its contract. */
export const ExitCode = {
  /** Safe, or done. */
  ok: 0,
  /** A bound, or a limit of the model, was hit before the search or run was complete. */
  bounded: 2,
  /**
   * What the command line asks for is invalid: a name or file that is not there, a number out of range, a machine that
   * cannot be.
   */
  invalidInput: 10,
  deadlock: 11,
  violation: 12,
  /**
   * The command line cannot be read: an unknown command or flag, a value of the wrong form, flags that do not go
   * together.
   */
  usage: 64,
  /** A bug of this program (EX_SOFTWARE). */
  software: 70,
  /** The output cannot be written, or not whole: a full disk (EX_IOERR). */
  outputFailed: 74,
  /** Interrupted by Ctrl-C, SIGTERM or SIGHUP: what was found so far has been printed. */
  interrupted: 130,
  /** The reader of the output is gone (`| head`): as if SIGPIPE had ended the command. */
  nobodyReads: 141,
} as const;

/** The exit code of a run. */
export function exitCodeOfRun({ end }: Pick<MachineRun, 'end'>): number {
  switch (end) {
    case 'violation':
      return ExitCode.violation;
    case 'deadlock':
      return ExitCode.deadlock;
    case 'steps':
      return ExitCode.bounded;
    default:
      return ExitCode.ok;
  }
}
