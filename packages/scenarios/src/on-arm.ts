/** What is expected of variants on the memory model of Arm. */
import type { ExpectedVerdict, Variant } from '@shootdown/explorer';

/**
 * Variants of which the same is expected on `arm` as elsewhere: what their verdicts rest on are locks, TLBIs and the
 * answers of those who were asked to invalidate, all of which order as much on arm64. `but` names the others, and those
 * of which no search on `arm` has come to an end (null): of them nothing is expected.
 */
export function alsoOnArm<V extends Variant>(
  variants: readonly V[],
  but: Readonly<Record<string, ExpectedVerdict | null>> = {},
): readonly V[] {
  return variants.map((variant) => {
    const { name, expected, expectedOn } = variant;
    if (but[name] === null) return variant;
    const arm = but[name] ?? expectedOn?.arm ?? (typeof expected === 'string' ? expected : expected.arm);
    return arm === undefined ? variant : { ...variant, expectedOn: { ...expectedOn, arm } };
  });
}
