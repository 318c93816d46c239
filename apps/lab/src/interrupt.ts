/** Ctrl-C: long work asks between portions whether to stop, so that what was found so far can still be printed. */

/** Runs `work` in portions, letting signals in between; stops early on SIGINT. Returns true if it was interrupted. */
export async function untilDoneOrInterrupted(work: () => boolean): Promise<boolean> {
  let interrupted = false;
  const onSignal = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', onSignal);
  try {
    while (!interrupted && work()) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('SIGINT', onSignal);
  }
  return interrupted;
}
