/** The detector finds every hazard that is named, in the versions that had it, and none in those that are right. */
import { lazy } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { findHazards, hazardSubjects } from './hazards.ts';

const archs = Object.values(lazy.lazyGenerations).flat();
const currentArchs = Object.values(lazy.lazyArchs);
const old = hazardSubjects.filter(({ generation }) => generation === 'old');
const current = hazardSubjects.filter(({ generation }) => generation === 'current');

describe('hazards', () => {
  it.each(old)('$name, $version: is found on some architecture', async (subject) => {
    const found = await Promise.all(archs.map((arch) => findHazards(subject, arch)));
    expect(found.some(({ hazards }) => hazards.length > 0)).toBe(true);
  });

  it.each(current)('$name, $version: is clean today, but for what is known', async (subject) => {
    const found = await Promise.all(currentArchs.map((arch) => findHazards(subject, arch)));
    const dirty = found.filter(({ hazards }) => hazards.length > 0).map(({ arch, hazards }) => [arch, ...hazards]);
    // Nobody has mended fork() on Xen PV.
    expect(dirty).toEqual(subject.name === 'copy_pte_range' ? [['xen-pv', 'H1']] : []);
    expect(found.every(({ complete }) => complete)).toBe(true);
  });

  it.each([
    ['H4', 'zap_pte_range', lazy.sparc64BeforeA1d416bf9faf],
    ['H4', 'zap_pte_range', lazy.powerpcBeforeB9ef323ea168],
    ['H6', 'kfence_protect', lazy.arm64BeforeB81c688426a9],
    ['H9', 'kfence_unprotect', lazy.arm64BeforeB81c688426a9],
    ['H10', 'set_pte, ptep_get_and_clear', lazy.lazyArchs['xen-pv']],
    ['H11', 'copy_pte_range', lazy.lazyArchs.s390],
  ] as const)('%s: %s', async (kind, name, arch) => {
    const found = await Promise.all(
      hazardSubjects.filter((subject) => subject.name === name).map((subject) => findHazards(subject, arch)),
    );
    expect(found.flatMap(({ hazards }) => hazards)).toEqual([kind]);
  });

  it('names the step, the routine and the architecture', async () => {
    const [fork] = hazardSubjects;
    if (!fork) throw new Error('no sections');
    const { routine, step, detail } = await findHazards(fork, lazy.lazyArchs['xen-pv']);
    expect([routine, step]).toEqual(['copy_pte_range', 'ptep_get(src_pte)']);
    expect(detail).toMatch(/is read while 0x2 P RW US is queued \(xen-pv\)$/);
  });
});
