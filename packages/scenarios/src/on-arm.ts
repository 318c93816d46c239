/** What is expected of variants on the memory model of Arm. */
import type { ExpectedVerdict, Variant } from '@shootdown/explorer';

/**
 * Variants of which the same is expected on `arm` as elsewhere: what their verdicts rest on are locks, TLBIs and the
 * answers of those who were asked to invalidate, all of which order as much on arm64. `but` names the others.
 */
export function alsoOnArm<V extends Variant>(
  variants: readonly V[],
  but: Readonly<Record<string, ExpectedVerdict>> = {},
): readonly V[] {
  return variants.map((variant) => {
    const { name, expected, expectedOn } = variant;
    const arm = but[name] ?? expectedOn?.arm ?? (typeof expected === 'string' ? expected : expected.arm);
    return arm === undefined ? variant : { ...variant, expectedOn: { ...expectedOn, arm } };
  });
}
