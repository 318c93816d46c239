import { inflateRawSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { requestedScenario, withMutations } from './scenario-request.ts';
import { studioLine, studioLink } from './studio-link.ts';

const SCHEDULE = [1, 1, 0];
const example = new URL('examples/my-patch.ts', import.meta.url).pathname;

afterEach(() => {
  delete process.env['SHOOTDOWN_STUDIO'];
});

describe('the link to the studio', () => {
  it('says system, parameters and schedule, where `npm run studio` serves it', async () => {
    const resolved = await requestedScenario('ptdump-vmalloc', { variant: 'unlocked', parameters: { ptes: 1 } });
    expect(studioLine(resolved, SCHEDULE)).toBe(
      '\nstudio: http://localhost:4173/#/explore/ptdump-vmalloc/unlocked?mm=sc&set=ptes:1&s=1x2,0\n',
    );
  });

  it('leads to another studio if the environment names one, and stands alone if that is no address', async () => {
    const resolved = await requestedScenario('gup-fast-vs-unmap', { variant: 'kvm-pv/page-batch' });
    process.env['SHOOTDOWN_STUDIO'] = 'https://example.org/studio/';
    expect(studioLink(resolved, SCHEDULE)).toMatch(
      /^https:\/\/example\.org\/studio\/#\/explore\/gup-fast-vs-unmap\/kvm-pv\/page-batch\?/,
    );
    process.env['SHOOTDOWN_STUDIO'] = 'nowhere';
    expect(studioLink(resolved, SCHEDULE)).toMatch(/^#\/explore\//);
  });

  it('carries mutations, and code of the user as it stands', async () => {
    const shipped = await requestedScenario('riscv-new-mapping', { variant: 'svvptc' });
    const mutated = await withMutations(shipped, ['vmalloc/set_pte:leave-out']);
    expect(studioLink(mutated, SCHEDULE)).toContain('&m=vmalloc%2Fset_pte%3Aleave-out&');
    const resolved = await requestedScenario(`${example}#my-patch`, { variant: 'check-clear-free' });
    const [, packed = ''] = /&file=my-patch\.ts&code=([\w-]+)$/.exec(studioLink(resolved, SCHEDULE) ?? '') ?? [];
    expect(inflateRawSync(Buffer.from(packed, 'base64url')).toString()).toContain("name: 'my-patch'");
  });
});
