import { expect, test } from 'vitest';
import { machine } from './builder.ts';
import { runMachine } from './run.ts';
import { parseTopology } from './schema.ts';

test('tables that a huge mapping replaces are freed and come back, while others dump the table', () => {
  const tables = { name: 'm', architecture: 'arm64-4k-48', cpus: 3, kernelTables: { pmds: 2, ptes: 2 } } as const;
  const load = [
    {
      do: 'repeat',
      times: 4,
      body: [{ do: 'vmalloc' }, { do: 'vfree' }, { do: 'vmalloc', huge: true }, { do: 'vfree' }],
    },
  ] as const;
  const run = runMachine(
    machine(tables)
      .thread('tools', 0, [{ do: 'repeat', times: 4, body: [{ do: 'ptdump' }] }])
      .thread('tools', 1, [{ ...load[0], body: [...load[0].body] }])
      .thread('tools', 2, [{ ...load[0], body: [...load[0].body] }])
      .assemble(),
  );
  expect(run).toMatchObject({ end: 'done', violation: null });
});

test("the kernel's own page table is arm64's", () => {
  const processes = [{ name: 'p', threads: [{ cpu: 0, run: [{ do: 'ptdump' as const }] }] }];
  expect(() => parseTopology({ name: 'm', architecture: 'x86-64-4l', cpus: 1, processes }, 'file')).toThrow(
    "topology: file: processes.0.threads.0.run: ptdump: the kernel's own page table is arm64's, natively (x86-64-4l)",
  );
});
